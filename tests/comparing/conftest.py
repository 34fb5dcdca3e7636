"""A folder with a plan of tiny models, and what a comparison by this plan prints."""

import os
import subprocess
import sys

import pytest
import tiny
import yaml
from comparisons import KL, environment

CHANNELS = {"distill_loss": {"types": [{"type": "SegChannelwiseLoss"}], "coef": [3]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    root = tiny.write_optic_disc(folder / "data")
    for role, width, iters in (("teacher", 8, 4), ("student", 4, 20)):
        model = {"type": "TinyNet", "num_classes": 2, "width": width}
        tiny.write_yaml(folder / f"{role}.yml", tiny.config(root, model, distill=False, iters=iters))
    plan = {"teacher": "teacher.yml", "student": "student.yml", "seeds": [0, 1]}
    plan["methods"] = {"student alone": None, "KL, 3": KL, "channels": CHANNELS}
    (folder / "plan.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return folder


@pytest.fixture
def in_folder(folder, monkeypatch):
    """Work in the folder, in an environment whose trainings find the tests' models."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def printed(folder, repository):
    """What the command prints that compares one method at equal iterations and at equal time."""
    flags = ["--match", "both", "--only", "KL, 3", "--turns", "2", "--jobs", "2", "--out", "both"]
    done = subprocess.run(
        [sys.executable, str(repository / "tools/compare.py"), "plan.yml", *flags, "--device", "cpu"],
        cwd=folder,
        env={**os.environ, **environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
