"""Trainings that are resumed, within this process."""

import json
import os
import re
import signal
import sys

import numpy as np
import pytest
import tiny

from paddleseg.core import loading, runs
from paddleseg.errors import Stopped, UserError
from paddleseg.utils.logger import logger

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reliability"))
import noisy  # noqa: E402


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set of ten images to train on."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"), train=10)


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    logged = []
    monkeypatch.setattr(logger, "info", logged.append)
    monkeypatch.setattr(logger, "warning", logged.append)
    return logged


def train(tmp_path, dic, name="run", **flags):
    """Train a config; return the folder of the run."""
    folder = str(tmp_path / name)
    path = tiny.write_yaml(tmp_path / f"{name}.yml", dic)
    runs.train(tiny.arguments(config=path, save_dir=folder, **flags))
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


def test_auto_begins_where_there_is_nothing_and_then_goes_on(tmp_path, root, lines):
    whole = train(tmp_path, config(root), "whole")
    folder = train(tmp_path, config(root), resume_model="auto", opts=["iters=6"])
    assert any("no checkpoint in" in line and "so this is the beginning" in line for line in lines)
    assert_same(arrays(whole), arrays(folder))
    for name in ("iter_4", "iter_6"):
        os.rename(os.path.join(folder, name), os.path.join(tmp_path, name))
    train(tmp_path, config(root), resume_model="auto")
    assert any("going on from" in line and "iter_2, iteration 2" in line for line in lines)
    assert_same(arrays(whole), arrays(folder))


def test_auto_has_nothing_left_to_do_after_the_end(tmp_path, root, lines):
    train(tmp_path, config(root))
    del lines[:]
    train(tmp_path, config(root), resume_model="auto")
    assert any("nothing is left to do" in line for line in lines)
    assert not any("[TRAIN]" in line for line in lines)


def test_a_damaged_newest_checkpoint_is_passed_over_by_auto_and_refused_by_name(tmp_path, root, lines):
    whole = train(tmp_path, config(root), "whole")
    folder = train(tmp_path, config(root))
    os.truncate(os.path.join(folder, "iter_6", "model.pdopt"), 100)
    with pytest.raises(UserError, match="is damaged: model.pdopt has 100 bytes instead of"):
        train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_6"))
    train(tmp_path, config(root), resume_model="auto")
    assert any("iter_6 is damaged and passed over" in line for line in lines)
    assert_same(arrays(whole), arrays(folder))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"seed": 3}, "--seed: 0 then, 3 now"),
        ({"learning_rate": 0.1}, "lr_scheduler.learning_rate: 0.05 then, 0.1 now"),
        ({"batch_size": 1}, "batch_size: 2 then, 1 now"),
        ({"iters": 8}, "iters: 6 then, 8 now"),
        ({"accumulate_steps": 2}, "--accumulate_steps: 1 then, 2 now"),
        ({"use_ema": True}, "--use_ema: False then, True now"),
        ({"early_stop_intervals": 3}, "--early_stop_intervals: None then, 3 now"),
        ({"opts": ["loss.coef.0=2"]}, "loss.coef.0: 1 then, 2 now"),
        ({"opts": ["optimizer.type=Momentum"]}, "optimizer.type: SGD then, Momentum now"),
    ],
)
def test_what_would_change_the_outcome_is_named_and_refused(tmp_path, root, lines, flags, told):
    folder = train(tmp_path, config(root), iters=None, no_eval=True)
    with pytest.raises(UserError) as error:
        train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"), no_eval=True, **flags)
    assert told in str(error.value)
    assert "--resume_anyway" in str(error.value)


def test_a_change_may_be_insisted_on(tmp_path, root, lines):
    folder = train(tmp_path, config(root), no_eval=True)
    flags = {"resume_model": os.path.join(folder, "iter_2"), "learning_rate": 0.1, "no_eval": True}
    train(tmp_path, config(root), resume_anyway=True, **flags)
    assert any("what decides the outcome has changed: lr_scheduler.learning_rate" in line for line in lines)


def test_what_changes_nothing_is_allowed(tmp_path, root, lines):
    whole = train(tmp_path, config(root), "whole", log_iters=2)
    flags = {"log_iters": 5, "save_interval": 3, "keep_checkpoint_max": 1, "num_workers": 1}
    resumed = train(tmp_path, config(root), resume_model=os.path.join(whole, "iter_2"), **flags)
    assert iters(resumed) == ["iter_6"]
    assert_same(arrays(whole), arrays(resumed))


def test_a_distillation_is_not_resumed_under_another_teacher(tmp_path, root, lines):
    given = noisy.write(tmp_path)
    flags = {**given, "save_dir": str(tmp_path / "run"), "iters": 2, "no_eval": True}
    runs.distill(tiny.arguments(**flags))
    resumed = {**flags, "resume_model": str(tmp_path / "run" / "iter_2")}
    tiny.save_weights(tmp_path / "teacher.pdparams", tiny.TinyNet())
    with pytest.raises(UserError, match=r"teacher's weights \(SHA-256\): "):
        runs.distill(tiny.arguments(**resumed))
    with open(given["distill_config"], "a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    with pytest.raises(UserError, match=r"--distill_config \(SHA-256\): "):
        runs.distill(tiny.arguments(**resumed))


@pytest.fixture
def read(monkeypatch):
    """The keys of the samples that are read to train on, in order."""
    keys = []
    original = loading.load_batches

    def counting(samples, batches, *args):
        class Counted:
            def __len__(self):
                return len(samples)

            def __getitem__(self, key):
                keys.append(key)
                return samples[key]

        return original(Counted(), batches, *args)

    monkeypatch.setattr("paddleseg.core.fit.load_batches", counting)
    return keys


def test_images_before_the_place_in_the_epoch_are_not_read(tmp_path, root, lines, read):
    whole = train(tmp_path, config(root), "whole", no_eval=True)
    every, read[:] = list(read), []
    assert len(every) == 12
    train(tmp_path, config(root), resume_model=os.path.join(whole, "iter_4"), no_eval=True)
    assert read == every[8:]


def test_accumulated_batches_are_the_parts_of_the_larger_one(tmp_path, root, lines, read):
    train(tmp_path, config(root, batch_size=4, iters=4), "one", no_eval=True)
    of_one, read[:] = list(read), []
    train(tmp_path, config(root, iters=4), "parts", no_eval=True, accumulate_steps=2)
    assert len(of_one) == 16
    assert read == of_one
    trained = [line for line in lines if line.startswith("[TRAIN]")]
    epochs = [re.search(r"epoch: (\d+), iter: (\d+)/4", line).groups() for line in trained]
    assert epochs[:4] == epochs[4:]


class Scripted:
    """Scores of evaluations as a test wants them."""

    class_iou = [0.5, 0.5]
    acc = kappa = mdice = 0.5

    def __init__(self, miou):
        self.miou = miou


def scripted(monkeypatch, mious):
    left = iter(mious)
    monkeypatch.setattr(runs, "_evaluate_and_log", lambda *args, **kwargs: Scripted(next(left)))


def test_training_stops_after_evaluations_without_a_better_score(tmp_path, root, lines, monkeypatch):
    scripted(monkeypatch, [0.1, 0.3, 0.2, 0.3, 0.9, 0.9])
    dic = config(root, iters=12)
    folder = train(tmp_path, dic, early_stop_intervals=2)
    assert iters(folder) == ["iter_2", "iter_4", "iter_6", "iter_8"]
    assert any("no better mIoU for 2 evaluations: training stops early" in line for line in lines)
    train(tmp_path, dic, early_stop_intervals=2, resume_model="auto")
    assert iters(folder) == ["iter_2", "iter_4", "iter_6", "iter_8"]
    assert any("nothing is left to do" in line for line in lines)


def test_the_early_stop_count_survives_a_resume(tmp_path, root, lines, monkeypatch):
    dic = config(root, iters=12)
    scripted(monkeypatch, [0.3, 0.2, 0.1, 0.1, 0.1, 0.1])
    folder = train(tmp_path, dic, early_stop_intervals=3)
    assert iters(folder)[-1] == "iter_8"
    os.rename(os.path.join(folder, "iter_8"), os.path.join(tmp_path, "iter_8"))
    scripted(monkeypatch, [0.1, 0.1, 0.1])
    train(tmp_path, dic, early_stop_intervals=3, resume_model="auto")
    assert iters(folder)[-1] == "iter_8"


def test_the_average_is_evaluated_and_saved_beside(tmp_path, root, lines):
    folder = train(tmp_path, config(root), use_ema=True, use_vdl=True)
    assert sum("#Images: 5 mIoU" in line for line in lines) == 6
    saved = tiny.flat_arrays(os.path.join(folder, "iter_6", "ema_model.pdparams"))
    raw = arrays(folder)
    assert set(saved) == set(raw)
    assert any((saved[key] != raw[key]).any() for key in raw)
    assert os.path.isfile(os.path.join(folder, "ema_best_model", "ema_model.pdparams"))
    with open(os.path.join(folder, "ema_best_model", "state.json"), encoding="utf-8") as file:
        best = json.load(file)
    path = os.path.join(folder, "ema_best_model", "ema_model.pdparams")
    scores = runs.validate(tiny.arguments(config=str(tmp_path / "run.yml"), model_path=path))
    assert scores.miou == pytest.approx(best["best_miou"], abs=1e-12)
    assert [step for step, _ in tiny.curves(folder)["Evaluate/Ema_mIoU"]] == [2, 4, 6]


def test_the_average_changes_nothing_in_the_model(tmp_path, root, lines):
    with_, without = (train(tmp_path, config(root), f"ema_{use}", use_ema=use) for use in (True, False))
    assert_same(arrays(with_), arrays(without))


def interrupt_evaluation(monkeypatch, call):
    """Send this process SIGTERM at the `call`-th evaluation's first batch."""
    real, calls = runs.evaluate, [0]

    def interrupted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(runs, "evaluate", interrupted)


@pytest.mark.parametrize("call", [2, 3])
def test_an_evaluation_that_a_signal_breaks_off_is_made_after_the_resume(
    tmp_path, root, lines, monkeypatch, call
):
    whole = train(tmp_path, config(root), "whole", use_ema=True, use_vdl=True)
    interrupt_evaluation(monkeypatch, call=2 * call - 1)
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, config(root), use_ema=True, use_vdl=True)
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    folder = str(tmp_path / "run")
    assert iters(folder)[-1] == f"iter_{2 * call}"
    monkeypatch.undo()
    train(tmp_path, config(root), use_ema=True, use_vdl=True, resume_model="auto")
    assert_same(arrays(whole), arrays(folder))
    assert tiny.curves(whole) == tiny.curves(folder)
    states = []
    for run in (whole, folder):
        with open(os.path.join(run, "iter_6", "state.json"), encoding="utf-8") as file:
            states.append(json.load(file)["best"])
    assert states[0] == states[1]


def poison(monkeypatch, iterations):
    """Make the images of some iterations, counted from 1, infinite."""
    real, count = loading.stack, [0]

    def poisoned(samples):
        batch = real(samples)
        count[0] += 1
        if count[0] in iterations:
            batch["img"] = batch["img"] * np.inf
        return batch

    monkeypatch.setattr("paddleseg.core.fit.stack", poisoned)


@pytest.mark.parametrize("kind", ["plain", "distilled"])
def test_a_bad_batch_is_named_and_left_out(tmp_path, root, lines, monkeypatch, kind):
    poison(monkeypatch, {2})
    given = noisy.write(tmp_path)
    flags = tiny.arguments(**given, save_dir=str(tmp_path / "run"), iters=3, log_iters=3, no_eval=True)
    (runs.train if kind == "plain" else runs.distill)(flags)
    (told,) = (line for line in lines if "is not finite" in line)
    assert re.search(r"iter 2: the \w+ is not finite.*batch: \S*train_\d.jpg, \S*train_\d.jpg$", told)
    (trained,) = (line for line in lines if line.startswith("[TRAIN]"))
    assert "nan" not in trained
    for value in arrays(str(tmp_path / "run"), "iter_3").values():
        assert np.isfinite(value).all()


def test_too_many_bad_batches_end_the_training_with_the_last_good_checkpoint_named(
    tmp_path, root, lines, monkeypatch
):
    poison(monkeypatch, {3, 4, 5, 6})
    with pytest.raises(
        UserError, match=r"3 steps in a row, the last one iter 5.*checkpoint is \S*run/iter_4"
    ):
        train(tmp_path, config(root), max_bad_steps=3, no_eval=True)


def test_a_last_save_that_fails_is_an_error(tmp_path, root, lines, monkeypatch):
    real = os.makedirs

    def full(path, *args, **kwargs):
        if str(path).endswith("iter_6.part"):
            raise OSError(28, "No space left on device")
        real(path, *args, **kwargs)

    monkeypatch.setattr(os, "makedirs", full)
    with pytest.raises(UserError, match="last weights are not saved: .*iter_6 cannot be written: No space"):
        train(tmp_path, config(root), no_eval=True)
    assert iters(str(tmp_path / "run")) == ["iter_2", "iter_4"]


def test_a_full_disk_in_between_does_not_stop_the_training(tmp_path, root, lines, monkeypatch):
    real = os.makedirs

    def full(path, *args, **kwargs):
        if str(path).endswith("iter_4.part"):
            raise OSError(28, "No space left on device")
        real(path, *args, **kwargs)

    monkeypatch.setattr(os, "makedirs", full)
    folder = train(tmp_path, config(root), no_eval=True)
    assert iters(folder) == ["iter_2", "iter_6"]
    assert any("iter_4 cannot be written: No space left on device" in line for line in lines)
