import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import warnings
from importlib import metadata

import pytest
import tiny
from refusal import refusal

from paddleseg.commands import runtime
from paddleseg.errors import UserError

SETTINGS = (
    "MKL_DEBUG_CPU_TYPE",
    "OMP_NUM_THREADS",
    "PADDLESEG_TUNE",
    "PADDLE_LOCAL_SIZE",
    "PADDLE_TRAINERS_NUM",
    "PADDLE_TRAINER_ID",
)


@pytest.fixture
def environment(monkeypatch):
    """A machine of 6 Intel cores, without what `tune` reads or writes; restored afterwards."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(runtime, "usable_cores", lambda: 6)
    monkeypatch.setattr(runtime, "slow_in_mkl", lambda: "")
    return monkeypatch


def installed(monkeypatch, **versions):
    """Let the installed distributions be these."""

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(runtime.metadata, "version", version)


def test_threads_are_the_usable_cores(environment, capsys):
    runtime.tune()
    assert os.environ["OMP_NUM_THREADS"] == "6"
    assert "MKL_DEBUG_CPU_TYPE" not in os.environ
    told = capsys.readouterr().out
    assert told.endswith(
        "set for Paddle's speed: OMP_NUM_THREADS=6 (6 usable cores); PADDLESEG_TUNE=0 sets nothing\n"
    )
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["PADDLE_LOCAL_SIZE", "PADDLE_TRAINERS_NUM"])
@pytest.mark.parametrize(("ranks", "threads"), [("2", "3"), ("16", "1")])
def test_ranks_share_the_cores(environment, capsys, name, ranks, threads):
    environment.setenv(name, ranks)
    runtime.tune()
    assert os.environ["OMP_NUM_THREADS"] == threads
    assert f"OMP_NUM_THREADS={threads} (6 usable cores among {ranks} processes)" in capsys.readouterr().out


def test_the_other_ranks_say_nothing(environment, capsys):
    environment.setenv("PADDLE_TRAINERS_NUM", "2")
    environment.setenv("PADDLE_TRAINER_ID", "1")
    runtime.tune()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert capsys.readouterr().out == ""


def test_mkl_is_told_to_take_its_fast_path(environment, capsys):
    environment.setattr(runtime, "slow_in_mkl", lambda: "AuthenticAMD")
    runtime.tune()
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "5"
    assert "MKL_DEBUG_CPU_TYPE=5 (without it MKL does not use AVX2" in capsys.readouterr().out


def test_what_the_environment_says_stays(environment, capsys):
    environment.setenv("OMP_NUM_THREADS", "7")
    environment.setenv("MKL_DEBUG_CPU_TYPE", "4")
    environment.setattr(runtime, "slow_in_mkl", lambda: "AuthenticAMD")
    runtime.tune()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_DEBUG_CPU_TYPE"]) == ("7", "4")
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process was started with")
@pytest.mark.parametrize(("said", "threads"), [({}, "3"), ({"OMP_NUM_THREADS": "1"}, "1")])
def test_a_rank_has_the_cores_that_the_launcher_of_paddle_would_deny_it(
    environment, repository, said, threads, tmp_path
):
    script = tmp_path / "rank.py"
    script.write_text(
        "import os\nfrom paddleseg.commands import runtime\n"
        "runtime.usable_cores = lambda: 6\nruntime.tune()\n"
        "open('threads' + os.environ['PADDLE_TRAINER_ID'], 'w').write(os.environ['OMP_NUM_THREADS'])\n"
    )
    launch = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", str(script)]
    path = os.pathsep.join([str(repository), *sys.path])
    outside = {**os.environ, "PYTHONPATH": path, **said}
    subprocess.run(launch, cwd=tmp_path, env=outside, check=True, capture_output=True)
    assert [(tmp_path / f"threads{rank}").read_text() for rank in (0, 1)] == [threads] * 2


def test_what_is_set_once_is_neither_set_nor_told_again(environment, capsys):
    runtime.tune()
    capsys.readouterr()
    runtime.tune()
    assert capsys.readouterr().out == ""


def test_nothing_is_set_where_that_is_turned_off(environment, capsys):
    environment.setenv("PADDLESEG_TUNE", "0")
    environment.setattr(runtime, "slow_in_mkl", lambda: "AuthenticAMD")
    runtime.tune()
    assert "OMP_NUM_THREADS" not in os.environ
    assert "MKL_DEBUG_CPU_TYPE" not in os.environ
    assert capsys.readouterr().out == ""


def test_numpy_2_is_refused_with_the_remedy(monkeypatch, capsys):
    installed(monkeypatch, numpy="2.1.0")
    message = refusal(capsys, runtime.check_installation)
    assert "NumPy 2.1.0" in message
    assert "pip install 'numpy<2'" in message


def test_opencv_that_cannot_load_is_refused_with_the_remedy(monkeypatch, capsys):
    installed(monkeypatch, numpy="1.26.4")
    monkeypatch.setitem(sys.modules, "cv2", None)
    message = refusal(capsys, runtime.check_installation)
    assert "libgl1" in message
    assert "opencv-python-headless==4.6.0.66" in message
    assert "\n" not in message


def test_a_missing_paddle_is_refused_with_the_remedy(monkeypatch, capsys):
    installed(monkeypatch, numpy="1.26.4")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "Paddle is not installed: pip install '.[cpu]'" in refusal(capsys, runtime.check_installation)


def test_paddleseg_of_pypi_beside_this_is_told(monkeypatch, capsys):
    installed(monkeypatch, numpy="1.26.4", paddleseg="2.8.0")
    runtime.check_installation()
    told = capsys.readouterr().out
    assert "[WARNING]" in told
    assert "paddleseg 2.8.0 is installed beside paddleseg-distill" in told
    assert "pip uninstall paddleseg" in told


def test_a_sound_installation_is_silent(monkeypatch, capsys):
    installed(monkeypatch, numpy="1.26.4")
    runtime.check_installation()
    assert capsys.readouterr() == ("", "")


def test_prepare_checks_before_it_sets_anything(environment):
    installed(environment, numpy="2.0.0")
    with pytest.raises(UserError):
        runtime.prepare()
    assert "OMP_NUM_THREADS" not in os.environ


def test_prepare_hides_paddles_remarks_and_nobody_elses(environment):
    installed(environment, numpy="1.26.4")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runtime.prepare()
        warnings.warn_explicit("no ccache", UserWarning, "x.py", 1, module="paddle.utils")
        warnings.warn_explicit("mind this", UserWarning, "y.py", 1, module="my_module")
    assert [str(w.message) for w in caught] == ["mind this"]


@pytest.mark.parametrize("fails", [False, True])
def test_importing_paddle_leaves_out_its_words_on_threads_alone(environment, capsys, fails):
    def spoken(name):
        print("WARNING: OMP_NUM_THREADS set to 2, not 1.", file=sys.stderr)
        print("PLEASE USE OMP_NUM_THREADS WISELY.", file=sys.stderr)
        print("the driver is too old", file=sys.stderr)
        if fails:
            raise ImportError("libgomp.so.1")

    environment.setattr(runtime.importlib, "import_module", spoken)
    with pytest.raises(ImportError) if fails else contextlib.nullcontext():
        runtime.import_paddle()
    assert capsys.readouterr().err == "the driver is too old\n"


@pytest.mark.parametrize("script", ["train.py", "slim/distill/distill_train.py"])
def test_a_training_says_what_is_ours_and_nothing_else(repository, tmp_path, script):
    root = tiny.write_optic_disc(tmp_path / "data")
    path = tiny.write_yaml(tmp_path / "run.yml", tiny.config(root, iters=2, batch_size=2))
    flags = ["--save_dir", tmp_path / "run", "--log_iters", "1", "--save_interval", "2", "--device", "cpu"]
    if script == "train.py":
        flags += ["--config", path, "--num_workers", "1"]
    else:
        distill = tiny.write_distill_file(tmp_path / "d.py", [tiny.feature()])
        flags += ["--student_config", path, "--teacher_config", path, "--allow_random_teacher", "--use_vdl"]
        flags += ["--distill_config", distill]
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    search = os.pathsep.join([str(repository / "tests"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, str(repository / script), *map(str, flags)],
        env={**kept, "PYTHONPATH": search, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (process.returncode, process.stderr) == (0, "")
    before, *records = re.split(r"(?m)^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[)", process.stdout)
    assert before == ""
    assert re.search(r"\tPaddle [\d.]+ on cpu", next(r for r in records if "set for Paddle" not in r))
    # Configs have many lines, and the scores of the classes are on a second one.
    shown = r"\]\t(config|model of teacher 0,) "
    longer = [record for record in records if record.count("\n") > 1 and not re.search(shown, record)]
    assert all("[EVAL] Class " in record for record in longer)
    assert [record for record in records if "[INFO]" not in record] == []
