"""Trainings of a tiny config within this process, and what they leave."""

import contextlib
import os

import numpy as np
import pytest
import tiny

from paddleseg.errors import Stopped
from paddleseg.parallel import signals
from paddleseg.training import evaluating
from paddleseg.training.trainer import Trainer


@contextlib.contextmanager
def stopped_after(iteration):
    """A context in which a training gets SIGTERM after an iteration, and stops."""
    real = Trainer._iterate

    def stopped(trainer):
        real(trainer)
        if trainer.iteration == iteration:
            raise Stopped(signals.signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_iterate", stopped)
        with pytest.raises(Stopped):
            yield


def train(tmp_path, dic, name="run", **flags):
    """Train a config; return the folder of the run."""
    folder = str(tmp_path / name)
    path = tiny.write_yaml(tmp_path / f"{name}.yml", dic)
    tiny.train(config=path, save_dir=folder, **flags)
    return folder


def config(root, **changes):
    return tiny.config(root, **{"batch_size": 2, "iters": 6, **changes})


def iters(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("iter"))


def arrays(folder, name="iter_6"):
    return tiny.flat_arrays(os.path.join(folder, name, "model.pdparams"))


def assert_same(one, other):
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


class Scripted:
    """Scores of an evaluation as a test wants them."""

    class_iou = [0.5, 0.5]
    acc = kappa = mdice = 0.5
    auc_roc = class_boundary_iou = None

    def __init__(self, miou):
        self.miou = miou


def scripted(monkeypatch, mious):
    """Let the evaluations to come have these scores."""
    left = iter(mious)
    monkeypatch.setattr(evaluating, "evaluate_and_log", lambda *args, **kwargs: Scripted(next(left)))


def full_disk(monkeypatch, *endings):
    """Let there be no room for the folders whose paths end so; return `os.makedirs` as it was."""
    real = os.makedirs

    def makedirs(path, *args, **kwargs):
        if str(path).endswith(endings):
            raise OSError(28, "No space left on device")
        real(path, *args, **kwargs)

    monkeypatch.setattr(os, "makedirs", makedirs)
    return real
