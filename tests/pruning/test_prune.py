"""The pruning of a tiny student, as a whole. PaddleSlim's pruners run on Paddle 2.6.2 alone."""

import os

import numpy as np
import paddle
import prunable
import pytest
import running
import tiny
import yaml

from paddleseg.commands.distill import teacher_configs
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.options import PruneOptions
from paddleseg.pruning import prune
from paddleseg.pruning.filters import Filters, check_installed
from paddleseg.pruning.result import read_result
from paddleseg.pruning.shares import sensitivities


def _runs():
    try:
        check_installed()
    except UserError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _runs(), reason="PaddleSlim's pruners need Paddle 2.6.2")
OPTIONS = {**tiny.TRAINING, "align": 1, "pruning_ratio": 0.32}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The paths of a student's config and weights and of a teacher's config, and a folder for runs."""
    folder = tmp_path_factory.mktemp("prune")
    config, weights = prunable.write_config(folder)
    teacher = {"type": "TinyNet", "num_classes": 2, "pretrained": str(folder / "teacher.pdparams")}
    tiny.save_weights(teacher["pretrained"], tiny.TinyNet())
    teacher = tiny.write_yaml(folder / "teacher.yml", {"model": teacher, "imports": ["tiny"]})
    return {"student": config, "weights": weights, "teacher": teacher, "folder": folder}


def run(files, name, teacher=True, retrain=True, **given):
    """Prune the student; return the folder of the run and the result."""
    folder = str(files["folder"] / name)
    cfg = tiny.training_config(files["student"], given)
    engine = {"teacher_engine": "paddle"} if teacher else {}
    options = PruneOptions(
        **{**OPTIONS, **engine, "model_path": files["weights"], "save_dir": folder, **given}
    )
    configs = teacher_configs([files["teacher"]], None) if teacher else []
    return folder, prune(cfg, configs, options, retrain)


@pytest.fixture(scope="module")
def whole(files):
    """The folder and the result of an uninterrupted run."""
    return run(files, "whole")


def test_filters_without_effect_go_and_the_logits_stay(files, whole):
    image = paddle.randn([2, 3, 16, 16])
    logits = []
    for config, weights in (
        (files["student"], files["weights"]),
        (os.path.join(whole[0], "pruned.yml"), os.path.join(whole[0], "pruned.pdparams")),
    ):
        model = SegBuilder(Config(config, sections=("model",))).trained_model(weights, "compare")
        logits.append(model(image)[0].numpy())
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-4, atol=1e-4)


def test_the_folder_of_a_run(files, whole):
    folder, best = whole
    assert {"pruned.yml", "pruned.pdparams", "pruning.json", "run.yml", "iter_4"} <= set(os.listdir(folder))
    with open(os.path.join(folder, "pruned.yml"), encoding="utf-8") as file:
        channels = yaml.safe_load(file)["model"]["pruned_channels"]
    assert channels["stem.0"] == [6, 3]
    assert channels["depthwise.0"] == [12, 1]
    assert channels["classify"] == [2, 6]
    result = read_result(folder)
    assert (result.weights, result.criterion, result.input_shape) == (
        files["weights"],
        "l1_norm",
        [1, 3, 32, 32],
    )
    assert result.pruned.flops == pytest.approx(0.68 * result.before.flops, rel=0.01)
    assert result.pruned.miou == pytest.approx(result.before.miou), "the filters had no effect"
    assert result.retrained.miou == best["best_miou"]
    assert result.retrained.parameters == result.pruned.parameters < result.before.parameters
    weights = os.path.join(folder, "best_model", "model.pdparams")
    assert tiny.evaluate(os.path.join(folder, "pruned.yml"), weights).miou == pytest.approx(best["best_miou"])


def test_a_stopped_run_continues_to_the_same_bits(files, whole, lines):
    with running.stopped_after(2):
        run(files, "stopped")
    with pytest.raises(UserError, match="pruned otherwise: pruning_ratio: 0.32 then, 0.5 now; set them back"):
        run(files, "stopped", resume_model="auto", pruning_ratio=0.5)
    with pytest.raises(UserError, match="pruned otherwise: model_path: .* then, other.pdparams now"):
        run(files, "stopped", resume_model="auto", model_path="other.pdparams")
    elsewhere = str(files["folder"] / "stopped" / "iter_2")
    for name, resume_model in (("stopped", "auto"), ("elsewhere", elsewhere)):
        folder, _ = run(files, name, resume_model=resume_model)
        assert any("the student was pruned already" in line for line in lines)
        running.assert_same(*(running.arrays(one, "iter_4") for one in (whole[0], folder)))
        assert read_result(folder) == read_result(whole[0])


def test_a_folder_that_no_pruning_has_made(files, whole, tmp_path):
    with pytest.raises(UserError, match="has no pruned.yml, pruned.pdparams, pruning.json, so it does not"):
        run(files, "new", resume_model=str(tmp_path / "iter_2"))


def test_without_retraining_and_without_evaluation(files):
    folder, best = run(files, "alone", teacher=False, retrain=False, no_eval=True, criterion="fpgm")
    assert best == {}
    assert not os.path.exists(os.path.join(folder, "run.yml"))
    result = read_result(folder)
    assert (result.criterion, result.before.miou, result.retrained) == ("fpgm", None, None)


def test_a_pruned_student_is_pruned_once_more(files, whole):
    config, weights = (os.path.join(whole[0], name) for name in ("pruned.yml", "pruned.pdparams"))
    again = {**files, "student": config, "weights": weights}
    folder, _ = run(again, "again", teacher=False, retrain=False, no_eval=True, pruning_ratio=0.25)
    first, second = read_result(whole[0]).pruned, read_result(folder).pruned
    assert second.parameters < first.parameters


def test_sensitivity_spares_the_layer_that_matters(files):
    model = SegBuilder(tiny.training_config(files["student"], {})).trained_model(files["weights"], "prune")
    filters = Filters(model, [1, 3, 32, 32], "l1_norm", 1)
    assert filters.counts == {"stem.0": 8, "expand.0": 16}
    width = lambda: model.stem[0].weight.shape[0] / 8  # noqa: E731  the score falls with the stem's filters
    losses = sensitivities(filters, width)
    assert losses["stem.0"] == pytest.approx([0.25, 0.375, 0.625, 0.75])
    assert losses["expand.0"] == [0, 0, 0, 0]
    assert list(model.stem[0].weight.shape) == [8, 3, 3, 3], "restored"
    folder, _ = run(files, "sensitive", teacher=False, retrain=False, sensitivity=True)
    assert read_result(folder).sensitivity


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pruning_ratio": 0.99}, "pruning_ratio 0.99: at most 0.9"),
        ({"pruning_ratio": 0.2, "align": 8}, "pruning_ratio 0.2: the nearest share of the operations"),
        ({"model_path": None}, "no weights to prune: give model_path, or set model.pretrained in it"),
        ({"val_dataset": None, "sensitivity": True}, "sensitivity needs the validation images"),
    ],
)
def test_what_cannot_be_pruned(files, given, message):
    changes = {"opts": ["val_dataset=Null"]} if given.pop("val_dataset", 1) is None else {}
    with pytest.raises(UserError, match=message):
        run(files, "refused", **given, **changes)


def test_filters_before_a_concatenation_stay():
    model = prunable.PrunableNet(joined=True)
    model.eval()
    assert Filters(model, [1, 3, 32, 32], "l1_norm", 1).counts == {"expand.0": 16}


def test_a_model_without_filters_to_remove(files):
    with pytest.raises(UserError, match="finds no filter that it can remove from Sequential"):
        Filters(paddle.nn.Sequential(paddle.nn.Conv2D(3, 2, 1)), [1, 3, 8, 8], "l1_norm", 1)


def test_a_model_that_paddleslim_cannot_read(files):
    class Broken(tiny.TinyNet):
        def forward(self, x):
            return super().forward(paddle.to_tensor(x.numpy()))

    with pytest.raises(UserError, match="PaddleSlim's pruners cannot prune Broken"):
        Filters(Broken(), [1, 3, 8, 8], "l1_norm", 1)
    assert paddle.in_dynamic_mode()
