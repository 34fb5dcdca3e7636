"""What a budget decides, without trainings."""

import re
import time
from functools import partial
from types import SimpleNamespace

from paddleseg.comparing.budget import Budget
from paddleseg.options import CompareOptions


class Untrained:
    """Stand in for `Trainings` where a budget only decides."""

    def __init__(self, folder):
        self.options = CompareOptions(out=str(folder))
        self.plan = SimpleNamespace(iters=1000)
        self.mark = "first"

    def fingerprint(self, training):
        return f"{self.mark} {training.method}"

    def finished(self, training):
        return SimpleNamespace(miou=0.5, seconds=0)


def test_methods_that_cannot_be_told_apart_are_named(tmp_path, lines):
    budget = Budget(Untrained(tmp_path), 100, time.monotonic())
    assert budget.best(["KL", "DIST"], {"student alone": 1.0, "KL": 1.0, "DIST": 1.0}, seed=3) == "KL"
    message = (
        "all of KL, DIST have the mIoU 0.5000 after .* iterations, so the choice between them is by chance"
    )
    assert any(re.search(message, line) for line in lines)


def test_a_budget_decides_anew_when_a_method_changes(tmp_path):
    trainings = Untrained(tmp_path)
    decide = partial(Budget(trainings, 1e6, time.monotonic()).final, "KL", seeds=[0])
    assert decide({"student alone": 1.0, "KL": 2.0}) == {"student alone": 1000, "KL": 500}
    slower = {"student alone": 1.0, "KL": 4.0}
    assert decide(slower) == {"student alone": 1000, "KL": 500}  # the same trainings: the first decision
    trainings.mark = "edited"
    assert decide(slower) == {"student alone": 1000, "KL": 250}


def test_a_repeated_command_knows_what_a_training_takes_beside_its_iterations(tmp_path):
    pace = {"student alone": 1.0, "KL": 1.0, "DIST": 1.0}
    trainings = Untrained(tmp_path)
    trainings.finished = lambda training: SimpleNamespace(miou=0.5, seconds=-7)  # so 7 s and a little more
    Budget(trainings, 100, time.monotonic()).best(["KL", "DIST"], pace, seed=3)
    trainings.finished = Untrained(tmp_path).finished
    repeated = Budget(trainings, 100, time.monotonic())
    repeated.best(["KL", "DIST"], pace, seed=3)
    # Half of 100 s, without 7 s, rounded down.
    assert repeated.final("KL", pace, seeds=[0]) == {
        "student alone": 42,
        "KL": 42,
    }
