import json
import math
import re
import time

import paddle
import pytest

from paddleseg.monitoring.progress import Progress, clock


def test_a_line_has_the_means_since_the_last_line_in_paddlesegs_form():
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


def test_the_clock_shows_hours_minutes_and_seconds():
    assert [clock(s) for s in (0, 59.9, 3661, 360000)] == ["00:00:00", "00:00:59", "01:01:01", "100:00:00"]


def test_sums_continue_exactly_and_without_steps_that_were_not_applied():
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
