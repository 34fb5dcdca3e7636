"""Tiny trainings to report on: a teacher, and two seeds of a student alone and distilled."""

import json
import os

import pytest
import tiny
import yaml

from paddleseg.options import ReportOptions
from paddleseg.report.page import write_report


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder that holds the runs `teacher`, `plain_0`, `plain_1`, `distilled_0` and `distilled_1`."""
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.write_optic_disc(folder / "data")
    model = {"type": "TinyNet", "num_classes": 2, "width": 6}
    teacher = tiny.write_yaml(folder / "teacher.yml", tiny.config(root, model, iters=12))
    student = tiny.write_yaml(folder / "student.yml", tiny.config(root, iters=8))
    flags = {"save_interval": 4, "log_iters": 2}
    tiny.train(config=teacher, save_dir=str(folder / "teacher"), **flags)
    weights = folder / "teacher" / "best_model" / "model.pdparams"
    for seed in (0, 1):
        flags["seed"] = seed
        tiny.train(config=student, save_dir=str(folder / f"plain_{seed}"), **flags)
        distilled = dict(
            student_config=student,
            teacher_config=[teacher],
            teacher_opts=[[f"model.pretrained={weights}"]],
            distill_config=tiny.write_distill_file(folder / "d.py", []),
            save_dir=str(folder / f"distilled_{seed}"),
            **flags,
        )
        tiny.distill(**distilled)
    return folder


@pytest.fixture(scope="session")
def write_page():
    """A function that writes the page of run folders to a path and returns its text."""

    def write(path, folders, **changes):
        options = {"images": 4, "compared": 100, "repeats": 1, "device": "cpu", **changes}
        write_report([str(folder) for folder in folders], ReportOptions(output=str(path), **options))
        return path.read_text(encoding="utf-8")

    return write


@pytest.fixture
def report(tmp_path, write_page):
    """A function that returns the text of the page of run folders."""
    return lambda *folders, **changes: write_page(tmp_path / "report.html", folders, **changes)


@pytest.fixture
def made_up(tmp_path):
    """A function that writes the folder of a run that never happened and returns its path."""

    def write(name, model="TinyNet", role="train", miou=None, history=(), **record):
        folder = tmp_path / name
        os.makedirs(folder)
        config = {"model": model if isinstance(model, dict) else {"type": model}, **record.pop("config", {})}
        with open(folder / "run.yml", "w", encoding="utf-8") as file:
            yaml.safe_dump({"role": role, "config": config, "seed": 0, **record}, file, sort_keys=False)
        if miou is not None:
            history = [*history, {"kind": "eval", "iteration": 9, "miou": miou, "class_iou": [miou, miou]}]
        with open(folder / "history.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in history)
        return str(folder)

    return write
