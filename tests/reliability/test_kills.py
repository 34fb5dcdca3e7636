"""Trainings killed and stopped at random moments and in the middle of a save end as if never touched."""

import json
import os
import subprocess
import sys

import pytest
from processes import HERE, ROOT, TESTS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials fork")


def trials(folder, kind, kills, calls, stops=0):
    """Run `trials.py`; return its report."""
    path = os.pathsep.join([ROOT, TESTS, HERE])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", os.path.join(HERE, "trials.py")]
        + [str(folder), kind, str(kills), ",".join(map(str, calls)), str(stops)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    return report


def hits(tried):
    """Return how many of [when, whether it was running] kills hit a running training."""
    return sum(killed for _, killed in tried)


@pytest.mark.parametrize(("kind", "calls"), [("train", [14, 45]), ("distill", [60]), ("cached", [30])])
def test_a_few_kills(tmp_path, kind, calls):
    report = trials(tmp_path, kind, 2, calls, stops=1)
    assert report["wrong"] == {}
    assert hits(report["random"]) == 2
    assert hits(report["saving"]) == len(calls)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["train", "distill", "cached"])
def test_thirty_random_kills(tmp_path, kind):
    report = trials(tmp_path, kind, 30, [])
    assert report["wrong"] == {}
    assert hits(report["random"]) == 30


@pytest.mark.long
def test_kills_at_every_step_of_the_first_saves_and_some_of_the_later_ones(tmp_path):
    report = trials(tmp_path, "train", 0, [*range(1, 61), *range(61, 240, 12)])
    assert report["wrong"] == {}
    assert hits(report["saving"]) > 60


@pytest.mark.long
@pytest.mark.parametrize("kind", ["train", "distill"])
def test_ten_random_stops(tmp_path, kind):
    report = trials(tmp_path, kind, 0, [], stops=10)
    assert report["wrong"] == {}
    # What comes after the last step finds nobody.
    assert set(report["stopped"]) <= {143, 130, -15, -2, 0}
    assert {143, 130} <= set(report["stopped"])
