"""What a wheel holds is enough to train and distil, away from the checkout."""

import os
import shutil
import subprocess
import sys

import pytest
import tiny

NEEDED = ("paddleseg", "configs", "deploy", "slim", "setup.py", "README.md")
# The smaller of the tutorial's two models, which teaches another of its kind.
CONFIG = "configs/quick_start/deeplabv3p_resnet18_os8_optic_disc_512x512_1k_student.yml"


@pytest.fixture(scope="module")
def installed(repository, tmp_path_factory):
    """A folder of packages with what a wheel would install."""
    folder = tmp_path_factory.mktemp("installed")
    for name in NEEDED:
        source, copy = repository / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(folder / "packages")]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True)
    shutil.rmtree(folder / "source")
    return folder / "packages"


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Run `paddleseg-distill` in a folder of a new user's; return what it prints."""
    folder = tmp_path_factory.mktemp("user")
    tiny.write_optic_disc(folder / "data/optic_disc_seg")
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def run(*words, status=0):
        command = [sys.executable, "-m", "paddleseg.commands", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("configs", "--copy", ".")
    return run


def test_it_trains_and_distils(run, installed):
    flags = ["--iters", "1", "--log_iters", "1", "--save_interval", "1", "--device", "cpu", "--no_eval"]
    flags += ["--opts", "train_dataset.transforms.0.target_size=[32,32]"]
    run("train", "--config", CONFIG, "--save_dir", "t", *flags)
    teacher = ["--teather_config", CONFIG, "--teacher_opts", "model.pretrained=t/iter_1"]
    printed = run("distill", *teacher, "--student_config", CONFIG, "--save_dir", "s", *flags)
    assert "iter: 1/1" in printed
    assert "KLLoss" in printed
    # Its own distill_config.py is the default, which the run notes.
    printed = run("distill", "--help")
    assert "slim/distill/distill_config.py, which declares none" in " ".join(printed.split())
    assert (installed / "paddleseg/shipped/slim/distill/distill_config.py").is_file()


def test_an_exported_model_is_run(run):
    assert "the deploy.yaml beside the exported model" in run("infer", "--help")
    answer = run("infer", "--config", "x", "--image_path", "y", "--use_trt", "True", status=2)
    assert "give --providers tensorrt" in answer
