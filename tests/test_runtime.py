import contextlib
import os
import re
import subprocess
import sys
import warnings
from importlib import metadata

import pytest
import tiny
from refusal import refusal

from paddleseg import runtime
from paddleseg.errors import UserError

THREADS = ("OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "PADDLE_LOCAL_SIZE", "PADDLE_TRAINERS_NUM")


@pytest.fixture
def environment(monkeypatch):
    """The environment without what `set_threads` reads or writes; restored afterwards."""
    for name in THREADS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def installed(monkeypatch, **versions):
    """Let the installed distributions be these."""

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(runtime.metadata, "version", version)


def test_threads_are_the_usable_cores(environment):
    environment.setattr(runtime, "usable_cores", lambda: 6)
    environment.setattr(runtime, "is_amd", lambda: False)
    runtime.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == "6"
    assert "MKL_DEBUG_CPU_TYPE" not in os.environ


@pytest.mark.parametrize("name", ["PADDLE_LOCAL_SIZE", "PADDLE_TRAINERS_NUM"])
@pytest.mark.parametrize(("ranks", "threads"), [("2", "3"), ("16", "1")])
def test_ranks_share_the_cores(environment, name, ranks, threads):
    environment.setenv(name, ranks)
    environment.setattr(runtime, "usable_cores", lambda: 6)
    runtime.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_amd_gets_mkls_fast_path(environment):
    environment.setattr(runtime, "is_amd", lambda: True)
    runtime.set_threads()
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "5"


def test_what_the_environment_says_stays(environment):
    environment.setenv("OMP_NUM_THREADS", "7")
    environment.setenv("MKL_DEBUG_CPU_TYPE", "4")
    environment.setattr(runtime, "is_amd", lambda: True)
    runtime.set_threads()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_DEBUG_CPU_TYPE"]) == ("7", "4")


@pytest.mark.parametrize(("vendor", "amd"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_the_processors_maker_is_read(tmp_path, vendor, amd):
    path = tmp_path / "cpuinfo"
    path.write_bytes(f"processor: 0\nvendor_id: {vendor}\nname: caf\xe9\n".encode("latin-1"))
    assert runtime.is_amd(path) is amd


def test_no_cpuinfo_is_no_amd(tmp_path):
    assert runtime.is_amd(tmp_path / "none") is False


def test_usable_cores_are_within_the_machines():
    assert 1 <= runtime.usable_cores() <= os.cpu_count()


def test_usable_cores_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert runtime.usable_cores() == 1


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
    kept = {name: value for name, value in os.environ.items() if name not in THREADS}
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
    assert "Paddle" in records[0]
    # The config has many lines, and the scores of the classes are on a second one.
    longer = [record for record in records if record.count("\n") > 1 and "]\tconfig " not in record]
    assert all("[EVAL] Class " in record for record in longer)
    assert [record for record in records if "[INFO]" not in record] == []
