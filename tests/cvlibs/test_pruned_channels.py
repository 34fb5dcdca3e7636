"""The key `model.pruned_channels`: a config's model in its pruned form, for every command."""

import os

import paddle
import prunable
import pytest
import tiny
import yaml

from paddleseg.cvlibs import Config, SegBuilder, pruned_channels
from paddleseg.errors import UserError
from paddleseg.evaluation import cost
from paddleseg.exporting import export
from paddleseg.options import ExportOptions

CHANNELS = {
    "stem.0": [6, 3],
    "stem.1": [6],
    "expand.0": [12, 6],
    "expand.1": [12],
    "depthwise.0": [12, 1],
    "depthwise.1": [12],
    "project.0": [6, 12],
    "project.1": [6],
    "classify": [2, 6],
}


def section(**changes):
    return {**prunable.MODEL, "pruned_channels": {**CHANNELS, **changes}}


def build(model):
    return SegBuilder(Config({"model": model, "imports": ["prunable"]}, sections=("model",))).model


def test_layers_have_the_channels_and_the_model_runs_and_has_gradients():
    model = build(section())
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert shapes["stem.0.weight"] == [6, 3, 3, 3]
    assert shapes["stem.1._variance"] == [6]
    assert shapes["depthwise.0.weight"] == [12, 1, 3, 3]
    assert shapes["classify.weight"] == [2, 6, 1, 1]
    assert shapes["classify.bias"] == [2]
    (logits,) = model(paddle.randn([2, 3, 16, 16]))
    assert list(logits.shape) == [2, 2, 16, 16]
    logits.mean().backward()
    weight = model.depthwise[0].weight
    assert list(weight.grad.shape) == list(weight.shape)
    assert model.stem[1]._mean.stop_gradient
    assert "groups=12" in repr(model.depthwise[0])


def test_channels_of_a_model_are_read_back():
    shapes = {key: list(value.shape) for key, value in build(section()).state_dict().items()}
    assert pruned_channels.of_model(prunable.PrunableNet(), shapes) == CHANNELS
    whole = {key: list(value.shape) for key, value in prunable.PrunableNet().state_dict().items()}
    assert pruned_channels.of_model(prunable.PrunableNet(), whole) == {}


def test_settings_of_parameters_stay():
    model = prunable.PrunableNet()
    weight = model.stem[0].weight
    weight.optimize_attr["learning_rate"], weight.need_clip, weight.stop_gradient = 0.5, False, True
    first = weight[:6].numpy()
    pruned_channels.narrow(model, CHANNELS)
    weight = model.stem[0].weight
    assert (weight.optimize_attr["learning_rate"], weight.need_clip, weight.stop_gradient) == (
        0.5,
        False,
        True,
    )
    assert (weight.numpy() == first).all()


@pytest.mark.parametrize(
    ("layer", "channels", "message"),
    [
        ("stem.9", [6], "the model has no layer 'stem.9'; did you mean 'stem.2' or 'stem.1' or 'stem.0'?"),
        ("stem.0", [9, 3], "stem.0 has the channels [8, 3] before pruning, so it cannot have [9, 3]"),
        ("stem.1", [6, 6], "stem.1 has the channels [8] before pruning, so it cannot have [6, 6]"),
        ("stem.2", [6], "stem.2 is a ReLU; only Conv2D and batch norms can be pruned"),
    ],
)
def test_channels_that_the_model_cannot_have(layer, channels, message):
    with pytest.raises(UserError) as error:
        build(section(**{layer: channels}))
    assert str(error.value) == f"<dict>: model.pruned_channels: {message}"


def test_groups_stay_whole():
    with pytest.raises(UserError, match=r"has groups of 4 x 4 channels, so it cannot have \[6, 4\]"):
        pruned_channels.narrow(paddle.nn.Sequential(paddle.nn.Conv2D(8, 8, 1, groups=2)), {"0": [6, 4]})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([6], "model.pruned_channels: must hold the layers of a pruned model and their channels, not [6]"),
        ({"stem.0": 6}, "model.pruned_channels.stem.0: must be a list of one or two whole numbers above 0"),
        ({"stem.0": [0, 3]}, "model.pruned_channels.stem.0: must be a list of one or two whole numbers"),
    ],
)
def test_values_that_are_no_channels(problems, value, problem):
    text = yaml.safe_dump({"model": {**prunable.MODEL, "pruned_channels": value}, "imports": ["prunable"]})
    (found,) = problems(text, sections=("model",))
    assert problem in found


def test_weights_of_the_backbone_from_before_the_pruning(problems):
    backbone = {"type": "MobileNetV2_x0_25", "pretrained": "imagenet.pdparams"}
    model = {"type": "FCN", "num_classes": 2, "backbone": backbone, "pruned_channels": {"a": [1]}}
    (found,) = problems(yaml.safe_dump({"model": model}), sections=("model",))
    assert "model.backbone.pretrained: names weights from before the pruning" in found
    model["pretrained"] = "pruned.pdparams"
    assert problems(yaml.safe_dump({"model": model}), sections=("model",)) == []


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    """The config of a pruned student, and the folder of its distillation."""
    folder = tmp_path_factory.mktemp("pruned")
    config, _ = prunable.write_config(folder, model=section())
    teacher = {"type": "TinyNet", "num_classes": 2, "pretrained": str(folder / "teacher.pdparams")}
    tiny.save_weights(teacher["pretrained"], tiny.TinyNet())
    teacher = tiny.write_yaml(folder / "teacher.yml", {"model": teacher, "imports": ["tiny"]})
    for resume in (None, "auto"):
        tiny.distill(config, teacher, save_dir=str(folder / "out"), resume_model=resume)
    return config, folder / "out"


def test_a_pruned_student_is_distilled_and_evaluated(distilled):
    config, folder = distilled
    weights = str(folder / "best_model" / "model.pdparams")
    assert 0 < tiny.evaluate(config, weights).miou < 1
    assert 0 < tiny.evaluate(config, opts=[f"model.pretrained={weights}"]).miou < 1
    with pytest.raises(UserError, match=r"stem.0.weight \[8, 3, 3, 3\] instead of \[6, 3, 3, 3\]"):
        tiny.evaluate(config, tiny.save_weights(folder / "whole.pdparams", prunable.PrunableNet()))


def test_a_pruned_student_is_exported(distilled):
    config, folder = distilled
    cfg = Config(config, sections=("model", "val_dataset", "export"))
    export(cfg, ExportOptions(model_path=str(folder / "best_model"), save_dir=str(folder / "graph")))
    assert os.path.isfile(folder / "graph" / "deploy.yaml")


def test_the_cost_is_that_of_the_pruned_model():
    whole, pruned = (
        cost.measure(model, [1, 3, 16, 16], repeats=0)["total"]
        for model in (prunable.PrunableNet(), build(section()))
    )
    assert pruned.parameters < whole.parameters
    assert pruned.flops < 0.8 * whole.flops
