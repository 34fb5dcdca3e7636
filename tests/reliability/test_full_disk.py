"""A small file system that fills up, in earnest."""

import os
import re
import subprocess
import sys

import noisy
import pytest
import tiny
from processes import Job, ends

from paddleseg.checkpoints.folder import problem

LAST = 12


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_teacher_cache_that_fills_the_disk(tmp_path, small_disk):
    given = noisy.write(tmp_path, seconds=0.2, iters=LAST)
    given["distill_config"] = tiny.write_distill_file(tmp_path / "none.py", [])
    flags = ["--student_config", given["config"], "--teacher_config", given["teacher_config"]]
    flags += ["--distill_config", given["distill_config"], "--device", "cpu", "--seed", 5, "--no_eval"]
    flags += ["--save_interval", LAST, "--log_iters", 1, "--cache_views", 2, "--save_dir"]
    cached = ["--cache_dtype", "float32", "--teacher_cache"]
    script = "slim/distill/distill_train.py"
    whole = Job(tmp_path, script, [*flags, "whole", *cached, tmp_path / "roomy"])
    assert whole.statuses() == [0], whole.log()

    refused = Job(tmp_path, script, [*flags, "refused", *cached, small_disk])
    assert refused.statuses() == [2], refused.log()
    told = r"error: teacher_cache .*small: 160 KiB are to be written, and \S+ KiB are free"
    assert re.search(told, refused.log())
    assert "[TRAIN]" not in refused.log()

    # What is asked for fits, and then something else takes the room.
    subprocess.run(["mount", "-o", "remount,size=256k", str(small_disk)], check=True)
    job = Job(tmp_path, script, [*flags, "run", *cached, small_disk])
    job.wait_for("iter: 1/")
    (small_disk / "other").write_bytes(bytes(150 << 10))
    assert job.statuses() == [2], job.log()
    assert "Traceback" not in job.log()
    assert re.search(
        r"error: teacher_cache: no space is left for .*: it takes 160.3 KiB when full", job.log()
    )

    os.remove(small_disk / "other")
    job = Job(tmp_path, script, [*flags, "run", *cached, small_disk])
    assert job.statuses() == [0], job.log()
    assert re.search(r"; [1-9]\d* rows are stored", job.log())
    assert ends(tmp_path / "run", LAST) == ends(tmp_path / "whole", LAST)


def test_a_disk_that_is_full_then_has_room_again(tmp_path, small_disk):
    given = noisy.write(tmp_path, iters=LAST)
    flags = ["--config", given["config"], "--device", "cpu", "--save_interval", 2, "--seed", 5, "--no_eval"]
    flags += ["--keep_checkpoint_max", 9, "--resume_model", "auto", "--use_ema", "--save_dir"]
    whole = Job(tmp_path, "train.py", [*flags, "whole"])
    assert whole.statuses() == [0], whole.log()

    job = Job(tmp_path, "train.py", [*flags, small_disk])
    assert job.statuses() == [2], job.log()
    assert "Traceback" not in job.log()
    assert "iter: 10/12" in job.log()
    failed = re.findall(r"iter_(\d+) cannot be written: No space left on device; the last good", job.log())
    assert "the training has ended, but not all of its weights are saved" in job.log()
    saved = sorted(int(name[5:]) for name in os.listdir(small_disk) if name.startswith("iter_"))
    assert saved
    assert [*map(str, saved), *failed] == [str(i) for i in range(2, LAST + 1, 2)]
    assert all(problem(str(small_disk / f"iter_{iteration}")) is None for iteration in saved)

    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    job = Job(tmp_path, "train.py", [*flags, small_disk])
    assert job.statuses() == [0], job.log()
    assert f"iter_{saved[-1]}, iteration {saved[-1]}" in job.log()
    assert ends(small_disk, LAST) == ends(tmp_path / "whole", LAST)
    assert tiny.logged_losses(whole.log())[10] == tiny.logged_losses(job.log())[10]
