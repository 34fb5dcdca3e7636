"""Whole trainings with an average, early stops, accumulated batches, bad ones, and a full disk."""

import json
import os
import re

import noisy
import numpy as np
import pytest
import tiny
from running import arrays, assert_same, config, full_disk, iters, scripted, train

from paddleseg.checkpoints.checkpoint import Checkpoints
from paddleseg.datasets import loading
from paddleseg.errors import UserError


def test_accumulated_batches_are_the_parts_of_the_larger_one(tmp_path, root, lines, read):
    train(tmp_path, config(root, batch_size=4, iters=4), "one", no_eval=True)
    of_one, read[:] = list(read), []
    train(tmp_path, config(root, iters=4), "parts", no_eval=True, accumulate_steps=2)
    assert len(of_one) == 16
    assert read == of_one
    trained = [line for line in lines if line.startswith("[TRAIN]")]
    epochs = [re.search(r"epoch: (\d+), iter: (\d+)/4", line).groups() for line in trained]
    assert epochs[:4] == epochs[4:]


def test_a_dry_run_writes_nothing_and_finds_what_a_training_would(tmp_path, root, lines):
    dic = config(root)
    folder = train(tmp_path, dic, "dry", dry_run=True)
    assert os.listdir(folder) == []
    assert any("dry run: the training can begin" in line for line in lines)
    assert not any(line.startswith("[TRAIN]") for line in lines)
    del dic["optimizer"]
    with pytest.raises(UserError, match="optimizer"):
        train(tmp_path, dic, "dry", dry_run=True)


def test_training_stops_after_evaluations_without_a_better_score(tmp_path, root, lines, monkeypatch):
    scripted(monkeypatch, [0.1, 0.3, 0.2, 0.3, 0.9, 0.9])
    dic = config(root, iters=12)
    folder = train(tmp_path, dic, early_stop_intervals=2)
    assert iters(folder) == ["iter_2", "iter_4", "iter_6", "iter_8"]
    assert any("no better mIoU for 2 evaluations: training stops early" in line for line in lines)
    train(tmp_path, dic, early_stop_intervals=2, resume_model="auto")
    assert iters(folder) == ["iter_2", "iter_4", "iter_6", "iter_8"]
    assert any("nothing is left to do" in line for line in lines)


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
    scores = tiny.evaluate(config=str(tmp_path / "run.yml"), model_path=path)
    assert scores.miou == pytest.approx(best["best_miou"], abs=1e-12)
    assert [step for step, _ in tiny.curves(folder)["Evaluate/Ema_mIoU"]] == [2, 4, 6]


def test_the_average_changes_nothing_in_the_model(tmp_path, root, lines):
    with_, without = (train(tmp_path, config(root), f"ema_{use}", use_ema=use) for use in (True, False))
    assert_same(arrays(with_), arrays(without))


def poison(monkeypatch, iterations):
    """Make the images of some iterations, counted from 1, infinite."""
    real, count = loading.stack, [0]

    def poisoned(samples):
        batch = real(samples)
        count[0] += 1
        if count[0] in iterations:
            batch["img"] = batch["img"] * np.inf
        return batch

    monkeypatch.setattr("paddleseg.training.step.stack", poisoned)


@pytest.mark.parametrize("kind", ["plain", "distilled"])
def test_a_bad_batch_is_named_and_left_out(tmp_path, root, lines, monkeypatch, kind):
    poison(monkeypatch, {2})
    given = noisy.write(tmp_path)
    noisy.train(given, kind, save_dir=str(tmp_path / "run"), iters=3, log_iters=3, no_eval=True)
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
    full_disk(monkeypatch, "iter_6.part")
    with pytest.raises(UserError, match="not all of its weights are saved: .*iter_6 cannot be written"):
        train(tmp_path, config(root), no_eval=True)
    assert iters(str(tmp_path / "run")) == ["iter_2", "iter_4"]


@pytest.mark.parametrize("flags", [{"no_eval": True}, {"opts": ["val_dataset=null"]}])
def test_stopping_early_without_evaluating_is_refused(tmp_path, root, lines, flags):
    with pytest.raises(UserError, match="early_stop_intervals needs evaluations"):
        train(tmp_path, config(root), early_stop_intervals=2, **flags)


def test_a_full_disk_in_between_does_not_stop_the_training(tmp_path, root, lines, monkeypatch):
    full_disk(monkeypatch, "iter_4.part")
    folder = train(tmp_path, config(root), no_eval=True)
    assert iters(folder) == ["iter_2", "iter_6"]
    assert any("iter_4 cannot be written: No space left on device" in line for line in lines)


def test_a_best_score_without_its_weights_is_not_the_best(tmp_path, root, lines, monkeypatch):
    # The model and its average in turn: 0.5 is not saved, so 0.4 is the best that there are weights of.
    scripted(monkeypatch, [0.3, 0.3, 0.5, 0.5, 0.4, 0.4])
    real, calls = Checkpoints.save_best, []

    def save_best(self, *args, **kwargs):
        calls.append(args)
        if len(calls) not in (3, 4):
            return real(self, *args, **kwargs)
        with pytest.MonkeyPatch.context() as patch:
            full_disk(patch, "best_model.part")
            return real(self, *args, **kwargs)

    monkeypatch.setattr(Checkpoints, "save_best", save_best)
    folder = train(tmp_path, config(root), use_ema=True)
    assert len(calls) == 6
    assert sum("best_model cannot be written: No space left" in line for line in lines) == 2
    assert sum("so far is 0.3000, at iter 2" in line for line in lines) == 4
    with open(os.path.join(folder, "iter_6", "state.json"), encoding="utf-8") as file:
        best = json.load(file)["best"]
    for key, name in (("model", "best_model"), ("ema", "ema_best_model")):
        with open(os.path.join(folder, name, "state.json"), encoding="utf-8") as file:
            assert json.load(file) == best[key]
        assert (best[key]["best_miou"], best[key]["best_iter"]) == (0.4, 6)


@pytest.mark.parametrize("kind", ["PolynomialDecay", "CosineAnnealingDecay"])
def test_a_run_that_is_prolonged_has_the_rates_of_the_longer_one(tmp_path, root, lines, kind):
    def trained(name, **more):
        schedule = {"type": kind, "learning_rate": 0.05}
        lines.clear()
        folder = train(tmp_path, config(root, lr_scheduler=schedule, **more), name, no_eval=True, **resume)
        return folder, [re.search(r"lr: ([\d.]+)", line)[1] for line in lines if "[TRAIN]" in line]

    resume = {}
    _, whole = trained("whole", iters=8)
    folder, _ = trained("run", iters=4)
    resume = {"resume_model": "auto", "resume_anyway": True}
    _, rest = trained("run", iters=8)
    assert rest == whole[4:]


@pytest.mark.parametrize(("warmup", "warned"), [(0, False), (5, False), (6, True), (9, True)])
def test_a_warm_up_as_long_as_the_training_is_warned_of(tmp_path, root, lines, warmup, warned):
    schedule = {"type": "PolynomialDecay", "learning_rate": 0.05, "warmup_iters": warmup}
    train(tmp_path, config(root, lr_scheduler=schedule), no_eval=True)
    found = [line for line in lines if "lr_scheduler.warmup_iters" in line]
    assert bool(found) == warned
