"""The seconds of an iteration, from a short training."""

import json
import pathlib

import pytest

from paddleseg.comparing.pace import mean_of_schedule, seconds_per_iteration
from paddleseg.comparing.plan import PLAIN
from paddleseg.errors import UserError
from paddleseg.options import CompareOptions


def test_the_pace_counts_a_loss_that_ends_with_its_share():
    slow, with_loss, without = [5.0] * 4, [2.0] * 8, [1.0] * 8
    assert mean_of_schedule([*slow, *with_loss, *without]) == pytest.approx(0.6 * 2 + 0.4 * 1)


class Interrupted:
    """Stand in for `Trainings` whose short trainings take 1 s an iteration; the fourth fails once."""

    engine_may_differ = False

    def __init__(self, folder):
        self.options = CompareOptions(out=str(folder), turns=2)
        self.begun = []

    def fingerprint(self, training):
        return training.method

    def run(self, training, folder, flags):
        self.begun.append(training.method)
        if len(self.begun) == 4:
            raise UserError("it was interrupted")
        (pathlib.Path(folder) / "run.yml").write_text("role: train\nconfig: {batch_size: 3}\n")
        line = {"kind": "train", "iteration": 1, "ips": 3}
        (pathlib.Path(folder) / "history.jsonl").write_text((json.dumps(line) + "\n") * 20)


def test_an_interruption_costs_one_turn(tmp_path):
    trainings = Interrupted(tmp_path)
    with pytest.raises(UserError, match="interrupted"):
        seconds_per_iteration(trainings, [PLAIN, "KL"])
    assert seconds_per_iteration(trainings, [PLAIN, "KL"]) == {PLAIN: 1, "KL": 1}
    assert trainings.begun == [PLAIN, "KL"] * 3  # the second turn twice
    assert [path.name for path in tmp_path.iterdir()] == ["pace.json"]
