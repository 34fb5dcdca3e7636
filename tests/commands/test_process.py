import os
import subprocess
import sys

import pytest
from refusal import refusal

from paddleseg.commands import process
from paddleseg.errors import Stopped, UserError

# What takes long to load.
HEAVY = ("numpy", "cv2", "paddle", "paddleslim", "onnxruntime", "PIL", "matplotlib")


def script(repository, folder, name, *arguments):
    """Run one of the commands in `folder`, with the tests' own components in reach."""
    path = os.pathsep.join([str(repository), str(repository / "tests")])
    return subprocess.run(
        [sys.executable, str(repository / name), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_user_error_becomes_one_message_and_status_2(capsys):
    def main():
        raise UserError("no such thing")

    assert refusal(capsys, main) == "no such thing"


def test_a_bug_keeps_its_traceback():
    def main():
        raise KeyError("hidden_0")

    with pytest.raises(KeyError):
        process.run(main)


@pytest.mark.parametrize(
    ("error", "status"), [(Stopped(15), 143), (Stopped(2), 130), (KeyboardInterrupt(), 130)]
)
def test_a_signal_becomes_its_exit_status(error, status):
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_:
        process.run(main)
    assert exit_.value.code == status


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_sigterm_ends_a_command_quietly_and_what_it_has_begun_is_cleaned_up(repository, tmp_path):
    code = """
import tempfile, time
from paddleseg.commands import process

def main():
    process.prepare()
    with tempfile.TemporaryDirectory(dir="."):
        print("ready", flush=True)
        time.sleep(60)

process.run(main)
"""
    environment = {**os.environ, "PYTHONPATH": str(repository), "PADDLESEG_TUNE": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, **pipes)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, "", "")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX's pipes")
@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("print('x' * 99999)", 141, []),
        ("print('x')", 0, []),
        ("logger.info('x'); logger.warning('y')", 0, []),
        ("print('x'); raise UserError('z')", 2, ["error: z"]),
    ],
)
def test_whoever_reads_may_go(repository, body, status, told):
    begun = (
        "import os; from paddleseg.commands import process; from paddleseg.errors import UserError; "
        f"from paddleseg.utils.logger import logger\ndef main():\n    {body}\nprocess.run(main)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", begun],
        cwd=repository,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    said = process.stderr.read().splitlines()
    process.stderr.close()
    assert process.wait(timeout=120) == status
    assert said == told


def test_a_pipe_of_another_kind_that_breaks_keeps_its_traceback():
    def main():
        raise BrokenPipeError("of a worker")

    with pytest.raises(BrokenPipeError):
        process.run(main)


def test_a_run_that_succeeds_returns(capsys):
    assert process.run(lambda: None) is None
    assert capsys.readouterr().err == ""


# deploy/infer.py stands without the package; it reads images, and has no use for being without OpenCV.
DATA_TOOLS = ("convert_masks", "draw", "from_coco", "from_labelme", "from_voc", "split", "to_labelme")
COMMANDS = {
    **{f"{name}.py": HEAVY for name in ("train", "val", "predict", "export", "slim/distill/distill_train")},
    **{
        f"tools/{name}.py": HEAVY
        for name in ("check_dataset", "compare", "cost", "demo", "make_optic_disc", "report")
    },
    **{f"tools/{name}.py": HEAVY for name in ("config_reference", "supported")},
    **{f"tools/data/{name}.py": HEAVY for name in DATA_TOOLS},
    **{f"benchmarks/{name}.py": HEAVY for name in ("step", "memory", "step_setup")},
    "deploy/infer.py": ("paddle", "onnxruntime"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_without_loading_anything_heavy(repository, tmp_path, name):
    path = tmp_path / "light.py"
    path.write_text(
        "import runpy, sys\n"
        f"sys.path.insert(0, {str((repository / name).parent)!r})\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(repository / name)!r}, run_name='__main__')\n"
        "finally:\n"
        f"    print([m for m in {COMMANDS[name]} if m in sys.modules])\n"
    )
    done = script(repository, tmp_path, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert done.stdout.splitlines()[-1] == "[]"


def test_memory_that_does_not_suffice_is_said_in_one_line(capsys):
    def allocate():
        raise MemoryError("Unable to allocate\n 40 GiB")

    with pytest.raises(SystemExit) as stop:
        process.run(allocate)
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: out of memory (Unable to allocate 40 GiB); a smaller batch_size, crop or model needs less\n"
    )


BAD = """\
imports: [components]
iters: 10
batch_size: none
model: {type: UserNet, numclasses: 2}
"""


@pytest.mark.parametrize("name", ["train.py", "val.py"])
def test_a_bad_config_ends_a_command_with_status_2(repository, tmp_path, name):
    (tmp_path / "bad.yml").write_text(BAD)
    done = script(repository, tmp_path, name, "--config", "bad.yml", "--device", "cpu")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "bad.yml:3: batch_size: must be a whole number above 0, not 'none'" in done.stderr
    assert (
        "bad.yml:4: model.numclasses: unknown key 'numclasses' of UserNet; did you mean 'num_classes'?"
        in (done.stderr)
    )


def test_a_missing_config_ends_a_command_with_status_2(repository, tmp_path):
    done = script(repository, tmp_path, "train.py", "--config", "nowhere.yml")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: there is no config file nowhere.yml"
    assert "Traceback" not in done.stderr
