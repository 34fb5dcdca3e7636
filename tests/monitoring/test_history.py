"""What a training appends to history.jsonl, and what is read of it."""

import json
import math
import os

import numpy as np
import pytest
import tiny

from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import compute_scores
from paddleseg.monitoring.history import History, read_history

FIGURES = {"epoch": 1, "lr": 0.1, "ips": 3.0, "eta": 9.0, "batch_cost": 1.0}


def figures(iteration, loss=0.5):
    return {**FIGURES, "iteration": iteration, "losses": {"loss": loss}}


def read(folder):
    return read_history(os.path.join(folder, "history.jsonl"))


def test_a_training_writes_its_log_lines_and_evaluations(finished):
    history = read(finished["save_dir"])
    entries = [(entry["kind"], entry["iteration"]) for entry in history]
    assert entries == [("train", 1), ("train", 2), ("eval", 2), ("train", 3), ("train", 4), ("eval", 4)]
    assert set(history[0]["losses"]) == {"loss", "CrossEntropyLoss"}
    with open(os.path.join(finished["save_dir"], "best_model", "state.json"), encoding="utf-8") as file:
        best = json.load(file)
    best_entry = next(e for e in history if e["kind"] == "eval" and e["iteration"] == best["best_iter"])
    assert best_entry["miou"] == pytest.approx(best["best_miou"])
    assert best_entry["class_iou"] == pytest.approx(best["best_class_iou"])


def test_a_resumed_training_drops_the_lines_after_its_checkpoint(finished):
    before = read(finished["save_dir"])
    tiny.train(**finished, resume_model=os.path.join(finished["save_dir"], "iter_2"))
    after = read(finished["save_dir"])
    assert [(e["kind"], e["iteration"]) for e in after] == [(e["kind"], e["iteration"]) for e in before]
    assert after[:3] == before[:3]
    assert after[4]["ips"] != before[4]["ips"]


def test_evaluations_of_the_moving_average_are_marked(finished):
    tiny.train(**finished, use_ema=True)
    evaluations = [entry for entry in read(finished["save_dir"]) if entry["kind"] == "eval"]
    marks = [(entry["iteration"], entry.get("ema", False)) for entry in evaluations]
    assert marks == [(2, False), (2, True), (4, False), (4, True)]


def test_a_new_run_in_an_old_folder_begins_a_new_history(tmp_path):
    History(tmp_path).add_training(figures(1))
    again = History(tmp_path)
    again.add_training(figures(1, loss=0.25))
    assert [e["losses"]["loss"] for e in read(tmp_path)] == [0.25]


def test_numbers_that_are_not_finite_are_null_and_torn_lines_are_left_out(tmp_path):
    history = History(tmp_path)
    history.add_training(figures(1, loss=math.nan))
    history.add_evaluation(compute_scores(np.array([[3, 1], [0, 0]])), 1, ema=True)
    with open(tmp_path / "history.jsonl", "a", encoding="utf-8") as file:
        file.write(
            '[1]\n{"kind": "train"}\n{"kind": "train", "iteration": 2, "losses": {"loss": Infinity}}\n'
        )
        file.write('{"kind": "train", "iterat')
    train, evaluation, endless = read(tmp_path)
    assert endless["losses"]["loss"] is None
    assert train["losses"]["loss"] is None
    assert evaluation["ema"] is True
    assert evaluation["class_iou"] == [0.75, 0.0]
    assert read_history(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("figure", "problem"),
    [
        ('"losses": {"loss": 1, "kd": "abc"}', "losses.kd must be a number, not 'abc'"),
        ('"losses": [1]', "losses must be {name: number}, not [1]"),
        ('"miou": "0.5"', "miou must be a number, not '0.5'"),
        ('"class_iou": "abc"', "class_iou must be a list of numbers, not 'abc'"),
        ('"class_iou": [0, []]', "class_iou.1 must be a number, not []"),
    ],
)
def test_a_figure_that_is_no_number_is_refused_with_its_line_but_ends_no_training(tmp_path, figure, problem):
    path = tmp_path / "history.jsonl"
    path.write_text(f'{{"torn\n{{"kind": "eval", "iteration": 2, {figure}}}\n', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_history(path)
    assert str(caught.value) == f"{path}:2: {problem}"
    History(str(tmp_path), start_iter=3).add_training(figures(4))
    old, new = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert old == {"kind": "eval", "iteration": 2, **json.loads(f"{{{figure}}}")}
    assert new["iteration"] == 4


def test_a_history_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        read_history(tmp_path)
    assert str(caught.value) == f"{tmp_path} cannot be read: Is a directory"


def test_a_history_that_cannot_be_written_ends_nothing(tmp_path, lines):
    (tmp_path / "history.jsonl").mkdir()
    History(str(tmp_path)).add_training(figures(1))
    assert len(lines) == 2
    assert all("cannot be written" in line for line in lines)
