"""Signals, and processes that die: what becomes of the job."""

import os
import pathlib
import re
import signal
import time

import noisy
import pytest
import tiny
import yaml
from processes import INT, TERM, Job, children, ends, gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
LAST = 30
FLAGS = ["--device", "cpu", "--save_interval", LAST, "--log_iters", 1, "--seed", 5, "--use_ema"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Configs of trainings of thirty slow iterations."""
    return noisy.write(tmp_path_factory.mktemp("given"), seconds=0.05, iters=LAST)


def start(given, folder, *flags, **job):
    os.makedirs(folder, exist_ok=True)
    arguments = ["--config", given["config"], "--save_dir", "run", "--resume_model", "auto", *FLAGS, *flags]
    return Job(folder, "train.py", arguments, **job)


def test_sigterm_saves_and_ends_with_143(given, tmp_path):
    job = start(given, tmp_path, "--num_workers", 1)
    job.wait_for("iter: 3/")
    workers = children(job.processes[0].pid)
    sent = time.monotonic()
    for pid in (job.processes[0].pid, *workers):  # as batch systems do, and three times as Paddle's launcher
        for _ in range(3):
            os.kill(pid, TERM)
    assert job.statuses(seconds=20) == [143], job.log()
    assert time.monotonic() - sent < 10
    assert "Traceback" not in job.log()
    (saved,) = re.findall(r"stopped at iteration (\d+) with the checkpoint", job.log())
    assert (tmp_path / "run" / f"iter_{saved}" / "manifest.json").is_file()
    assert workers
    assert gone(workers)


def test_repeats_of_a_signal_do_not_change_the_status(given, tmp_path):
    job = start(given, tmp_path)
    job.wait_for("iter: 3/")
    first = time.monotonic()
    while job.processes[0].poll() is None and time.monotonic() - first < 4:
        job.signal(0, TERM)
        time.sleep(0.02)
    assert job.statuses() == [143], job.log()
    assert "stopped at iteration" in job.log()


@pytest.fixture(scope="module")
def end_of_two_ranks(given, tmp_path_factory):
    """The last checkpoint of two ranks that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert start(given, folder, ranks=2).statuses(seconds=120) == [0, 0]
    return ends(folder / "run", LAST)


def assert_the_resumed_job_ends_the_same(given, folder, end):
    job = start(given, folder, ranks=2)
    assert job.statuses(seconds=120) == [0, 0], job.log(1)
    assert "continuing from" in job.log()
    resumed = ends(folder / "run", LAST)
    assert any(key.startswith("ranks.pdparams") for key in end)
    assert set(resumed) == set(end)
    assert [key for key in end if resumed[key] != end[key]] == []


def test_a_signal_to_one_of_two_ranks_stops_both_and_the_resumed_job_ends_the_same(
    given, end_of_two_ranks, tmp_path
):
    job = start(given, tmp_path, ranks=2)
    job.wait_for("iter: 3/")
    job.signal(1, INT)
    assert job.statuses(seconds=30) == [130, 130], job.log(1)
    assert_the_resumed_job_ends_the_same(given, tmp_path, end_of_two_ranks)


def test_an_image_that_one_of_two_ranks_cannot_read_ends_both_and_costs_no_iteration(
    given, end_of_two_ranks, tmp_path
):
    with open(given["config"], encoding="utf-8") as file:
        root = pathlib.Path(yaml.safe_load(file)["train_dataset"]["dataset_root"])
    image = root / "JPEGImages" / "train_0.jpg"
    content = image.read_bytes()
    job = start(given, tmp_path, ranks=2)
    job.wait_for("iter: 3/")
    image.write_bytes(b"no image")
    try:
        assert job.statuses(seconds=30) == [2, 2], job.log(1)
    finally:
        image.write_bytes(content)
    logs = job.log(0) + job.log(1)
    assert f"cannot read image '{image}'" in logs
    assert "Traceback" not in logs
    ended = re.findall(r"at iteration (\d+): the training ends with the checkpoint run/iter_(\d+);", logs)
    assert ended
    assert all(int(iteration) == int(saved) + 1 for iteration, saved in ended)
    assert_the_resumed_job_ends_the_same(given, tmp_path, end_of_two_ranks)


def test_a_killed_rank_ends_the_other_one(given, tmp_path):
    job = start(given, tmp_path, ranks=2)
    job.wait_for("iter: 3/")
    job.kill(1)
    killed = time.monotonic()
    status, _ = job.statuses(seconds=40)
    assert time.monotonic() - killed < 30
    assert status not in (0, None)


def test_a_killed_data_worker_ends_the_job_with_one_clear_line(given, tmp_path):
    job = start(given, tmp_path, "--num_workers", 2)
    job.wait_for("iter: 3/")
    workers = children(job.processes[0].pid)
    os.kill(workers[0], signal.SIGKILL)
    killed = time.monotonic()
    assert job.statuses(seconds=40) == [2], job.log()
    assert time.monotonic() - killed < 30
    assert "error: a process that reads data has died (SIGKILL): most likely" in job.log()
    assert "Traceback" not in job.log()
    assert "DataLoader" not in job.log()
    assert gone(workers)


@pytest.mark.long
def test_workers_die_with_a_killed_main_process(given, tmp_path):
    job = start(given, tmp_path, "--num_workers", 2)
    job.wait_for("iter: 3/")
    workers = children(job.processes[0].pid)
    job.kill(0)
    assert len(workers) == 2
    assert gone(workers)


@pytest.mark.long
def test_ranks_whose_launcher_dies_save_and_end(given, tmp_path):
    job = start(given, tmp_path, ranks=2, parent=True)
    job.wait_for("iter: 3/")
    ranks = [int(re.search(r"child (\d+)", job.log(rank))[1]) for rank in (0, 1)]
    for rank in (0, 1):
        job.kill(rank)
    assert gone(ranks, seconds=30)
    assert "the launcher has died" in job.log(0) + job.log(1)
    assert re.search(r"stopped at iteration \d+ with the checkpoint run/iter_\d+", job.log())


def test_two_ranks_fill_a_teacher_cache_and_find_it_full(tmp_path):
    given = noisy.write(tmp_path, iters=6)
    config, nothing = given["config"], tiny.write_distill_file(tmp_path / "none.py", [])
    flags = [
        "--student_config",
        config,
        "--teacher_config",
        given["teacher_config"],
        "--distill_config",
        nothing,
    ]
    flags += ["--device", "cpu", "--save_interval", 6, "--log_iters", 6, "--no_eval", "--cache_views", 2]
    flags += ["--teacher_cache", tmp_path / "cache"]
    rows, hits = [], []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        job = Job(tmp_path / name, "slim/distill/distill_train.py", flags, ranks=2)
        assert job.statuses() == [0, 0], job.log() + job.log(1)
        rows.append(int(re.search(r"; (\d+) rows are stored", job.log())[1]))
        hits.append(re.search(r"cache_hits: (\S+) ", job.log())[1])
    assert rows[0] == 0
    # Each epoch of ten samples shows eight, not always the same.
    assert 16 <= rows[1] <= 20
    assert hits[0] != hits[1] == "100.0%"
    assert ends(tmp_path / "first" / "output", 6) == ends(tmp_path / "second" / "output", 6)
