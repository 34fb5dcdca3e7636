import json
import math
import re
import time

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.core.progress import Board, Progress, clock
from paddleseg.utils.metrics import scores


def test_a_line_has_the_means_since_the_last_one_in_paddlesegs_form():
    progress = Progress(iters=1000, iters_per_epoch=66, samples_per_iter=8)
    for value in (9.0, 1.0, 3.0):
        if value == 1.0:
            progress.summary(1, 0.1)  # what came before a line has no part in the next
        progress.start_batch()
        time.sleep(0.01)
        progress.batch_read()
        time.sleep(0.02)
        total = paddle.to_tensor(value)
        progress.add({"loss": total, "KLLoss": total / 4})
    figures = progress.summary(67, 0.01)
    assert figures["losses"] == {"loss": 2.0, "KLLoss": 0.5}
    assert 0.01 <= figures["reader_cost"] < figures["batch_cost"]
    assert figures["batch_cost"] >= 0.03
    assert figures["ips"] == pytest.approx(8 / figures["batch_cost"])
    assert figures["eta"] == pytest.approx(933 * figures["batch_cost"])
    assert re.fullmatch(
        r"\[TRAIN\] epoch: 2, iter: 67/1000, loss: 2\.0000, KLLoss: 0\.5000, lr: 0\.010000, "
        r"batch_cost: 0\.\d{4}, reader_cost: 0\.\d{5}, ips: \d+\.\d{4} samples/sec \| ETA 00:0\d:\d\d",
        progress.line(figures),
    )


@pytest.mark.parametrize(("epoch", "iteration"), [(1, 1), (1, 66), (2, 67)])
def test_epochs_count_from_one(epoch, iteration):
    progress = Progress(100, 66, 1)
    progress.start_batch()
    progress.add({"loss": paddle.to_tensor(1.0)})
    assert progress.summary(iteration, 0.1)["epoch"] == epoch


def test_clock():
    assert [clock(s) for s in (0, 59.9, 3661, 360000)] == ["00:00:00", "00:00:59", "01:01:01", "100:00:00"]


def test_visualdl_reads_back_what_was_written(tmp_path):
    from visualdl import LogReader

    board = Board(str(tmp_path))
    losses = {"loss": 2.0, "KLLoss": 0.5}
    board.add_training(
        {"iteration": 7, "losses": losses, "lr": 0.1, "batch_cost": 1.0, "reader_cost": 0.1, "ips": 8.0}
    )
    result = scores(np.array([[8, 2], [1, 9]]))
    board.add_evaluation(result, 7)
    board.__exit__(None, None, None)
    (file,) = tmp_path.iterdir()
    reader = LogReader(file_path=str(file))
    tags = set(reader.get_tags()["scalar"])
    assert {f"Train/{t}" for t in ("loss", "KLLoss", "lr", "batch_cost", "reader_cost", "ips")} <= tags
    (point,) = reader.get_data("scalar", "Evaluate/mIoU")
    assert (point.id, point.value) == (7, pytest.approx(result.miou))
    (point,) = reader.get_data("scalar", "Train/KLLoss")
    assert point.value == pytest.approx(0.5)
    assert "Evaluate/IoU/class_1" in tags


def test_no_folder_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    board = Board(None)
    board.add_training(
        {"iteration": 1, "losses": {}, "lr": 0.1, "batch_cost": 1.0, "reader_cost": 0.1, "ips": 8.0}
    )
    board.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


FIGURES = {"losses": {"loss": 2.0}, "lr": 0.1, "batch_cost": 1.0, "reader_cost": 0.1, "ips": 8.0}


def draw(folder, iterations, position=None):
    """Write a curve; return the position after its first half."""
    with Board(str(folder), position) as board:
        for iteration in iterations:
            if iteration == iterations[len(iterations) // 2]:
                half = board.position()
            board.add_training({**FIGURES, "iteration": iteration})
    return half


def steps(folder):
    return [step for step, _ in tiny.curves(str(folder))["Train/loss"]]


def test_curves_go_on_in_the_same_log_from_where_they_were(tmp_path):
    half = draw(tmp_path, range(1, 9))
    draw(tmp_path, range(5, 8), half)
    assert len(list(tmp_path.iterdir())) == 1
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_new_run_begins_a_log_of_its_own_that_is_the_one_shown(tmp_path):
    draw(tmp_path, range(1, 9))
    draw(tmp_path, range(1, 3))
    assert len(list(tmp_path.iterdir())) == 2
    assert steps(tmp_path) == [1, 2]


@pytest.mark.parametrize("position", [{"file": "vdlrecords.1.log", "bytes": 3}, None])
def test_a_log_that_is_not_there_is_begun(tmp_path, position):
    draw(tmp_path, range(1, 3), position)
    assert steps(tmp_path) == [1, 2]


def test_sums_go_on_to_the_bit_and_without_what_was_not_applied():
    values = [0.1, 0.7, float("nan"), 0.2]
    flags = [1.0, 1.0, 0.0, 1.0]

    def summed(progress, start, stop):
        for value, ok in zip(values[start:stop], flags[start:stop]):
            progress.start_batch()
            progress.add({"loss": paddle.to_tensor(value)}, paddle.to_tensor(ok))
        return progress

    whole = summed(Progress(9, 9, 1), 0, 4).summary(4, 0.1)["losses"]["loss"]
    state = json.loads(json.dumps(summed(Progress(9, 9, 1), 0, 2).state()))
    resumed = summed(Progress(9, 9, 1, state), 2, 4).summary(4, 0.1)["losses"]["loss"]
    assert resumed == whole
    assert whole == pytest.approx(1.0 / 3)


def test_if_no_step_was_applied_there_is_no_mean():
    progress = Progress(9, 9, 1)
    progress.start_batch()
    progress.add({"loss": paddle.to_tensor(float("inf"))}, paddle.zeros([]))
    assert math.isnan(progress.summary(1, 0.1)["losses"]["loss"])
