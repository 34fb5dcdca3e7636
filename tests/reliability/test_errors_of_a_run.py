"""An exception in any part of a training costs no more than its step."""

import contextlib
import os
import shutil

import noisy
import numpy as np
import pytest
import tiny

from paddleseg.checkpoints import checkpoint
from paddleseg.datasets import sampling
from paddleseg.distill.step import DistillNet
from paddleseg.monitoring.board import Board
from paddleseg.monitoring.history import History
from paddleseg.training import evaluating
from paddleseg.training.update import Update

LAST = 6


class InjectedError(Exception):
    """No exception of the project's own."""


@pytest.fixture
def given(tmp_path):
    """Configs of a plain training and of a distillation; the latter has losses with a state."""
    return noisy.write(tmp_path, iters=LAST)


def failing(monkeypatch, owner, name, call, before=True):
    """Let a function raise at its `call`-th call, counted from 1, before or after its work."""
    real, calls = getattr(owner, name), [0]

    def raising(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call and before:
            raise InjectedError(name)
        result = real(*args, **kwargs)
        if calls[0] == call:
            raise InjectedError(name)
        return result

    monkeypatch.setattr(owner, name, raising)
    return calls


def differences(one, other):
    """Return the tensors in which two checkpoints differ."""
    names = sorted(name for name in os.listdir(one) if name.endswith((".pdparams", ".pdopt")))
    assert names == sorted(name for name in os.listdir(other) if name.endswith((".pdparams", ".pdopt")))
    wrong = []
    for name in names:
        ours, theirs = (tiny.flat_arrays(os.path.join(folder, name)) for folder in (one, other))
        wrong += [f"{name} {key}" for key in ours if not np.array_equal(ours[key], theirs[key])]
    return wrong


@pytest.fixture
def whole_and_broken(tmp_path, given, monkeypatch):
    """Train once without an error, and once with one and then on; return the first run's last checkpoint.

    whole_and_broken(kind, owner, name, call, before, **flags) -> (iteration saved at the error, differences)
    """

    def trained(kind, owner, name, call, before=True, **flags):
        flags = {**noisy.FLAGS, "use_vdl": False, "save_interval": 3, **flags}
        whole, run = str(tmp_path / "whole"), str(tmp_path / "run")
        noisy.train(given, kind, **flags, save_dir=whole)
        with monkeypatch.context() as patch:
            failing(patch, owner, name, call, before)
            with pytest.raises(InjectedError):
                noisy.train(given, kind, **flags, save_dir=run)
        numbers = [int(entry[5:]) for entry in os.listdir(run) if entry.startswith("iter_")]
        noisy.train(given, kind, **flags, save_dir=run, resume_model="auto")
        ends = (os.path.join(folder, f"iter_{LAST}") for folder in (whole, run))
        return max(numbers), differences(*ends)

    return trained


WITHOUT_EVALUATION = {"no_eval": True, "early_stop_intervals": None}
# Where an error comes from, at which call, and how many iterations are then done: two batches of two each.
PLACES = {
    "a sample": (sampling.SeededSamples, "__getitem__", 18, 4, WITHOUT_EVALUATION),
    "a step": (Update, "__call__", 5, 4, {}),
    "an evaluation": (evaluating, "evaluate_model", 1, 3, {}),
}


@pytest.mark.parametrize("kind", ["plain", "distilled"])
@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_an_error_ends_is_saved_and_continues_to_the_same_bits(whole_and_broken, place, kind):
    owner, name, call, done, flags = PLACES[place]
    if kind == "distilled" and place == "a sample":
        call += 4  # samples on which the models are tried first
    assert whole_and_broken(kind, owner, name, call, **flags) == (done, [])


def test_an_error_within_the_step_takes_statistics_and_queues_back(whole_and_broken):
    # After the second batch of iteration 5 has gone through the student.
    broken = whole_and_broken("distilled", DistillNet, "forward", 10, before=False, **WITHOUT_EVALUATION)
    assert broken == (4, [])


EVERY_PLACE = {
    "a sample": (sampling.SeededSamples, "__getitem__"),
    "an evaluation": (evaluating, "evaluate_model"),
    "a file of a checkpoint": (checkpoint, "_save"),
    "the history": (History, "add_training"),
    "the curves": (Board, "add_training"),
}
NEVER_END_A_RUN = ("the history", "the curves")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["plain", "distilled"])
@pytest.mark.parametrize("place", EVERY_PLACE)
def test_an_error_at_every_call_costs_no_more_than_its_step(tmp_path, monkeypatch, kind, place):
    given = noisy.write(tmp_path, iters=30)
    # The curves' pictures read samples too, and an error of theirs ends no training.
    flags = {**noisy.FLAGS, "save_interval": 10, "use_vdl": place == "the curves"}
    whole = str(tmp_path / "whole")
    owner, name = EVERY_PLACE[place]
    with monkeypatch.context() as patch:
        calls = failing(patch, owner, name, call=None)
        noisy.train(given, kind, **flags, save_dir=whole)
    # Samples on which a distillation tries its models come before the training.
    first = 5 if (kind, place) == ("distilled", "a sample") else 1
    assert calls[0] > first
    for call in range(first, calls[0] + 1):
        run = str(tmp_path / f"run_{call}")
        ends = contextlib.nullcontext() if place in NEVER_END_A_RUN else pytest.raises(InjectedError)
        with monkeypatch.context() as patch:
            failing(patch, owner, name, call)
            with ends:
                noisy.train(given, kind, **flags, save_dir=run)
        noisy.train(given, kind, **flags, save_dir=run, resume_model="auto")
        assert differences(os.path.join(whole, "iter_30"), os.path.join(run, "iter_30")) == [], call
        shutil.rmtree(run)
