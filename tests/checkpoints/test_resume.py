"""Trainings that are resumed, within this process."""

import json
import os
import shutil
import signal

import noisy
import paddle
import pytest
import tiny
from running import arrays, assert_same, config, iters, scripted, train

from paddleseg.checkpoints import resume
from paddleseg.core import runs
from paddleseg.errors import Stopped, UserError
from paddleseg.onednn import library
from paddleseg.training import evaluating
from paddleseg.training.step import SupervisedStep


def test_auto_begins_where_there_is_nothing_and_then_goes_on(tmp_path, root, lines):
    whole = train(tmp_path, config(root), "whole")
    folder = train(tmp_path, config(root), resume_model="auto", opts=["iters=6"])
    assert any("no checkpoint in" in line and "so training begins" in line for line in lines)
    assert_same(arrays(whole), arrays(folder))
    for name in ("iter_4", "iter_6"):
        os.rename(os.path.join(folder, name), os.path.join(tmp_path, name))
    train(tmp_path, config(root), resume_model="auto")
    assert any("continuing from" in line and "iter_2, iteration 2" in line for line in lines)
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
    assert any("iter_6 is damaged and is skipped" in line for line in lines)
    assert_same(arrays(whole), arrays(folder))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"seed": 3}, "--seed: 0 then, 3 now"),
        ({"cache_views": 3}, "--cache_views: None then, 3 now"),
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
    folder = train(tmp_path, config(root))
    with pytest.raises(UserError) as error:
        train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"), **flags)
    assert told in str(error.value)
    assert "resume_anyway" in str(error.value)


def test_what_decides_nothing_may_stand_in_a_checkpoint(tmp_path, root, lines, monkeypatch):
    folder = train(tmp_path, config(root))
    read = resume.read_state
    idle = {"distill_loss.coef.0": 3, "unlabeled_dataset.type": "X"}
    monkeypatch.setattr(
        resume, "read_state", lambda path: {**read(path), "outcome": {**read(path)["outcome"], **idle}}
    )
    train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"))
    assert any("continuing from" in line for line in lines)


def test_other_names_of_classes_are_no_other_training_where_they_are_names_alone(tmp_path, root, lines):
    section = {"type": "Dataset", "train_path": f"{root}/train_list.txt", "num_classes": 2}
    plain = {**config(root)["train_dataset"], **section, "class_names": ["a", "b"]}
    folder = train(tmp_path, config(root, train_dataset=plain), no_eval=True)
    renamed = config(root, train_dataset={**plain, "class_names": ["soil", "leaf"]})
    train(tmp_path, renamed, no_eval=True, resume_model=os.path.join(folder, "iter_2"))
    assert any("continuing from" in line for line in lines)


def test_what_an_own_data_set_calls_class_names_may_decide(tmp_path, root, monkeypatch):
    folder = train(tmp_path, config(root))
    read = resume.read_state
    then = {"train_dataset.type": "OpticDiscSeg", "train_dataset.class_names": "soil.txt"}
    monkeypatch.setattr(
        resume, "read_state", lambda path: {**read(path), "outcome": {**read(path)["outcome"], **then}}
    )
    with pytest.raises(UserError, match="train_dataset.class_names: soil.txt then, not set now"):
        train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"))


def test_another_list_of_files_is_named_and_refused(tmp_path, lines):
    root = tiny.write_optic_disc(tmp_path / "data", train=6)
    folder = train(tmp_path, config(root), no_eval=True)
    listed = os.path.join(root, "train_list.txt")
    with open(listed, encoding="utf-8") as file:
        rows = file.read().splitlines()
    with open(listed, "w", encoding="utf-8") as file:
        file.write("\n".join(reversed(rows)))  # the same files in another order are another training
    with pytest.raises(UserError, match="train_dataset: its list of files: 6, SHA-256 .* then, 6, SHA-256"):
        train(tmp_path, config(root), no_eval=True, resume_model=os.path.join(folder, "iter_2"))


def test_a_change_may_be_insisted_on(tmp_path, root, lines):
    folder = train(tmp_path, config(root), no_eval=True)
    flags = {"resume_model": os.path.join(folder, "iter_2"), "learning_rate": 0.1, "no_eval": True}
    train(tmp_path, config(root), resume_anyway=True, **flags)
    assert any("settings that change the result differ: lr_scheduler.learning_rate" in line for line in lines)


def test_what_changes_nothing_is_allowed(tmp_path, root, lines):
    whole = train(tmp_path, config(root), "whole", log_iters=2)
    flags = {"log_iters": 5, "save_interval": 3, "keep_checkpoint_max": 1, "num_workers": 1}
    resumed = train(tmp_path, config(root), resume_model=os.path.join(whole, "iter_2"), **flags)
    assert iters(resumed) == ["iter_6"]
    assert_same(arrays(whole), arrays(resumed))


def test_a_distillation_is_not_resumed_under_another_teacher(tmp_path, root, lines):
    given = noisy.write(tmp_path)
    options = {"save_dir": str(tmp_path / "run"), "iters": 2, "no_eval": True}
    noisy.train(given, "distilled", **options)
    resumed = {**options, "resume_model": str(tmp_path / "run" / "iter_2")}
    tiny.save_weights(tmp_path / "teacher.pdparams", tiny.TinyNet())
    with pytest.raises(UserError, match=r"teacher 0: weights \(SHA-256\): "):
        noisy.train(given, "distilled", **resumed)
    with open(given["distill_config"], "a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    with pytest.raises(UserError, match=r"--distill_config \(SHA-256\): "):
        noisy.train(given, "distilled", **resumed)


class WithExtra(SupervisedStep):
    """A step with a connector and a queue of its own, on which the loss depends."""

    def __init__(self, model, loss, to_static):
        super().__init__(model, loss, to_static)
        extra = paddle.nn.Layer()
        extra.connector = paddle.nn.Conv2D(4, 1, 1)
        extra.register_buffer("queue", paddle.ones([3]))
        self.trained.extra = extra

    def __call__(self, batch):
        losses = super().__call__(batch)
        extra = self.trained.extra
        answer = extra.connector(self.trained.model.mixed).mean()
        more = (answer - extra.queue.mean()) ** 2
        newest = answer.detach().reshape([1])
        extra.queue.set_value(paddle.concat([extra.queue[1:], newest]))
        return {"loss": losses["loss"] + more, "more": more}


def test_what_is_trained_beside_the_model_goes_on_too(tmp_path, root, lines, monkeypatch):
    monkeypatch.setattr(runs, "SupervisedStep", WithExtra)
    dic = config(root, optimizer={"type": "Adam"})
    whole = train(tmp_path, dic, "whole", no_eval=True)
    resumed = train(tmp_path, dic, resume_model=os.path.join(whole, "iter_2"), no_eval=True)
    for name in ("model.pdparams", "model.pdopt", "extra.pdparams"):
        a, b = (tiny.flat_arrays(os.path.join(folder, "iter_6", name)) for folder in (whole, resumed))
        assert_same(a, b)
    first, last = (
        tiny.flat_arrays(os.path.join(whole, name, "extra.pdparams")) for name in ("iter_2", "iter_6")
    )
    assert (first["connector.weight"] != last["connector.weight"]).any()
    assert (first["queue"] != last["queue"]).all()


def test_images_before_the_place_in_the_epoch_are_not_read(tmp_path, root, lines, read):
    whole = train(tmp_path, config(root), "whole", no_eval=True)
    every, read[:] = list(read), []
    assert len(every) == 12
    train(tmp_path, config(root), resume_model=os.path.join(whole, "iter_4"), no_eval=True)
    assert read == every[8:]


def test_the_early_stop_count_survives_a_resume(tmp_path, root, lines, monkeypatch):
    dic = config(root, iters=12)
    scripted(monkeypatch, [0.3, 0.2, 0.1, 0.1, 0.1, 0.1])
    folder = train(tmp_path, dic, early_stop_intervals=3)
    assert iters(folder)[-1] == "iter_8"
    os.rename(os.path.join(folder, "iter_8"), os.path.join(tmp_path, "iter_8"))
    scripted(monkeypatch, [0.1, 0.1, 0.1])
    train(tmp_path, dic, early_stop_intervals=3, resume_model="auto")
    assert iters(folder)[-1] == "iter_8"


def interrupt_evaluation(monkeypatch, call):
    """Send this process SIGTERM at the `call`-th evaluation's first batch."""
    real, calls = evaluating.evaluate_model, [0]

    def interrupted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(evaluating, "evaluate_model", interrupted)


@pytest.mark.parametrize("call", [2, 3])
def test_an_evaluation_that_a_signal_breaks_off_is_made_after_the_resume(
    tmp_path, root, lines, monkeypatch, call
):
    whole = train(tmp_path, config(root), "whole", use_ema=True, use_vdl=True)
    interrupt_evaluation(monkeypatch, call=2 * call - 1)
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, config(root), use_ema=True, use_vdl=True)
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
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


def test_another_version_of_paddle_is_warned_of(tmp_path, root, lines, monkeypatch):
    folder = train(tmp_path, config(root), no_eval=True)
    monkeypatch.setattr(paddle, "__version__", "9.9")
    train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"), no_eval=True)
    assert any("was written under Paddle" in line and "9.9" in line for line in lines)


def test_without_its_best_weights_a_run_looks_for_the_best_anew(tmp_path, root, lines):
    folder = train(tmp_path, config(root))
    os.rename(os.path.join(folder, "best_model"), tmp_path / "moved")
    train(tmp_path, config(root), resume_model=os.path.join(folder, "iter_2"))
    assert any("the best score is forgotten" in line for line in lines)
    assert os.path.isdir(os.path.join(folder, "best_model"))


def test_best_weights_of_another_iteration_are_not_taken_for_those_meant(tmp_path, root, lines, monkeypatch):
    # Of the model and its average in turn; both are best at iteration 4, the average alone still at 6.
    scripted(monkeypatch, [0.2, 0.2, 0.4, 0.4, 0.3, 0.5] + [0.3, 0.1])
    folder = train(tmp_path, config(root), use_ema=True)
    train(tmp_path, config(root), use_ema=True, resume_model=os.path.join(folder, "iter_4"))
    told = [line for line in lines if "are gone" in line]
    assert told == ["the best averaged weights, of iteration 4, are gone; the best score is forgotten"]
    with open(os.path.join(folder, "iter_6", "state.json"), encoding="utf-8") as file:
        best = json.load(file)["best"]
    assert (best["model"]["best_miou"], best["ema"]["best_miou"]) == (0.4, 0.1)


@pytest.mark.skipif(library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here")
@pytest.mark.parametrize("first", ["paddle", "onednn"])
def test_a_resume_keeps_what_computed_the_convolutions(tmp_path, root, lines, first):
    whole = train(tmp_path, config(root), "whole", conv_engine=first, no_eval=True)
    folder = train(tmp_path, config(root), "run", conv_engine=first, no_eval=True)
    shutil.rmtree(os.path.join(folder, "iter_6"))
    shutil.rmtree(os.path.join(folder, "iter_4"))
    train(tmp_path, config(root), "run", resume_model="auto", no_eval=True)
    assert sum(f"convolutions by {first}" in line for line in lines) == 3
    assert_same(arrays(whole), arrays(folder))
    other = {"paddle": "onednn", "onednn": "paddle"}[first]
    with pytest.raises(UserError, match="conv_engine: "):
        train(tmp_path, config(root), "run", resume_model="auto", no_eval=True, conv_engine=other, iters=6)
