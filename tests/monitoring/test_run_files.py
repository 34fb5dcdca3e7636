"""What a training leaves of itself: run.yml and history.jsonl."""

import json
import math
import os
import pathlib

import numpy as np
import pytest
import tiny
import yaml

from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import scores
from paddleseg.monitoring.run_files import History, read_history
from paddleseg.utils.logger import logger


def figures(iteration, loss=0.5):
    return {
        "iteration": iteration,
        "epoch": 1,
        "losses": {"loss": loss},
        "lr": 0.1,
        "ips": 3.0,
        "eta": 9.0,
        "batch_cost": 1.0,
    }


@pytest.fixture
def trained(tmp_path):
    """A tiny training and a resumed one: the folder and its config."""
    root = tiny.write_optic_disc(tmp_path / "data")
    config = tiny.write_yaml(tmp_path / "run.yml", tiny.config(root))
    folder = str(tmp_path / "run")
    flags = {"config": config, "save_dir": folder, "seed": 7}
    tiny.train(**flags)
    return folder, flags


def test_a_training_leaves_its_config_and_its_history(trained):
    folder, flags = trained
    with open(os.path.join(folder, "run.yml"), encoding="utf-8") as file:
        run = yaml.safe_load(file)
    assert (run["role"], run["seed"], run["teachers"], run["device"]) == ("train", 7, [], "cpu")
    assert run["config"]["model"] == {"type": "TinyNet", "num_classes": 2}
    assert run["config_path"] == flags["config"]
    history = read_history(os.path.join(folder, "history.jsonl"))
    said = [(entry["kind"], entry["iteration"]) for entry in history]
    assert said == [("train", 1), ("train", 2), ("eval", 2), ("train", 3), ("train", 4), ("eval", 4)]
    assert set(history[0]["losses"]) == {"loss", "CrossEntropyLoss"}
    with open(os.path.join(folder, "best_model", "state.json"), encoding="utf-8") as file:
        best = json.load(file)
    best_entry = next(e for e in history if e["kind"] == "eval" and e["iteration"] == best["best_iter"])
    assert best_entry["miou"] == pytest.approx(best["best_miou"])
    assert best_entry["class_iou"] == pytest.approx(best["best_class_iou"])


def test_a_resumed_training_drops_what_came_after_its_checkpoint(trained):
    folder, flags = trained
    path = os.path.join(folder, "history.jsonl")
    before = read_history(path)
    tiny.train(**flags, resume_model=os.path.join(folder, "iter_2"))
    after = read_history(path)
    assert [(e["kind"], e["iteration"]) for e in after] == [(e["kind"], e["iteration"]) for e in before]
    assert after[:3] == before[:3]
    assert after[4]["ips"] != before[4]["ips"]


def test_evaluations_of_the_moving_average_are_told_apart(trained):
    folder, flags = trained
    tiny.train(**flags, use_ema=True)
    evaluations = [e for e in read_history(os.path.join(folder, "history.jsonl")) if e["kind"] == "eval"]
    said = [(entry["iteration"], entry.get("ema", False)) for entry in evaluations]
    assert said == [(2, False), (2, True), (4, False), (4, True)]


def test_a_refused_training_leaves_the_files_of_the_old_one(trained):
    folder, flags = trained
    before = {name: pathlib.Path(folder, name).read_bytes() for name in ("run.yml", "history.jsonl")}
    end = {**flags, "seed": 8, "resume_model": os.path.join(folder, "iter_4")}
    with pytest.raises(UserError):
        tiny.train(**end)
    with pytest.raises(UserError, match="already"):
        tiny.train(**{**end, "seed": 7})
    for name, content in before.items():
        assert pathlib.Path(folder, name).read_bytes() == content


def test_a_distillation_names_its_teachers(tmp_path):
    root = tiny.write_optic_disc(tmp_path / "data")
    weights = tiny.save_weights(tmp_path / "t.pdparams", tiny.TinyNet(width=6))
    model = {"type": "TinyNet", "num_classes": 2, "width": 6, "pretrained": weights}
    arguments = {
        "student_config": tiny.write_yaml(tmp_path / "s.yml", tiny.config(root)),
        "teacher_config": [tiny.write_yaml(tmp_path / "t.yml", {"model": model, "imports": ["tiny"]})],
        "distill_config": tiny.write_distill_file(tmp_path / "d.py", []),
        "save_dir": str(tmp_path / "run"),
    }
    tiny.distill(**arguments)
    with open(tmp_path / "run" / "run.yml", encoding="utf-8") as file:
        run = yaml.safe_load(file)
    assert run["role"] == "distill"
    assert [(t["weights"], t["config"]["model"]["width"]) for t in run["teachers"]] == [(weights, 6)]


def test_a_new_run_in_an_old_folder_begins_a_new_history(tmp_path):
    History(tmp_path).add_training(figures(1))
    again = History(tmp_path)
    again.add_training(figures(1, loss=0.25))
    assert [e["losses"]["loss"] for e in read_history(tmp_path / "history.jsonl")] == [0.25]


def test_numbers_that_are_not_finite_are_null_and_torn_lines_are_left_out(tmp_path):
    history = History(tmp_path)
    history.add_training(figures(1, loss=math.nan))
    history.add_evaluation(scores(np.array([[3, 1], [0, 0]])), 1, ema=True)
    with open(tmp_path / "history.jsonl", "a", encoding="utf-8") as file:
        file.write(
            '[1]\n{"kind": "train"}\n{"kind": "train", "iteration": 2, "losses": {"loss": Infinity}}\n'
        )
        file.write('{"kind": "train", "iterat')
    train, evaluation, endless = read_history(tmp_path / "history.jsonl")
    assert endless["losses"]["loss"] is None
    assert train["losses"]["loss"] is None
    assert evaluation["ema"] is True
    assert evaluation["class_iou"] == [0.75, 0.0]
    assert read_history(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('"losses": {"loss": 1, "kd": "abc"}', "losses.kd must be a number, not 'abc'"),
        ('"losses": [1]', "losses must be {name: number}, not [1]"),
        ('"miou": "0.5"', "miou must be a number, not '0.5'"),
        ('"class_iou": "abc"', "class_iou must be a list of numbers, not 'abc'"),
        ('"class_iou": [0, []]', "class_iou.1 must be a number, not []"),
    ],
)
def test_what_stands_in_a_numbers_place_is_refused_with_its_line_but_ends_no_training(tmp_path, said, told):
    path = tmp_path / "history.jsonl"
    path.write_text(f'{{"torn\n{{"kind": "eval", "iteration": 2, {said}}}\n', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_history(path)
    assert str(caught.value) == f"{path}:2: {told}"
    History(str(tmp_path), start_iter=3).add_training(figures(4))
    old, new = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert old == {"kind": "eval", "iteration": 2, **json.loads(f"{{{said}}}")}
    assert new["iteration"] == 4


def test_a_history_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        read_history(tmp_path)
    assert str(caught.value) == f"{tmp_path} cannot be read: Is a directory"


def test_a_history_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(logger, "warning", told.append)
    (tmp_path / "history.jsonl").mkdir()
    History(str(tmp_path)).add_training(figures(1))
    assert all("cannot be written" in line for line in told)
    assert told


def test_a_run_file_that_cannot_be_written_is_refused(tmp_path, trained):
    folder, flags = trained
    os.remove(os.path.join(folder, "run.yml"))
    os.mkdir(os.path.join(folder, "run.yml"))
    with pytest.raises(UserError, match=r"run\.yml cannot be written: Is a directory"):
        tiny.train(**flags)
