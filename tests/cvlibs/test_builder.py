import components
import numpy as np
import paddle
import pytest
from refusal import refusal

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.losses import CrossEntropyLoss, KLLoss
from paddleseg.models import DeepLabV3P

DEEPLAB = """\
imports: [components]
iters: 10
model:
  type: DeepLabV3P
  num_classes: 2
  aspp_out_channels: 8
  backbone: {type: ResNet18_vd}
train_dataset: {type: OpticDiscSeg, dataset_root: no/such/folder, transforms: [{type: Normalize}]}
optimizer: {type: Momentum, momentum: 0.5}
lr_scheduler: {type: PolynomialDecay, learning_rate: 0.5, end_lr: 0}
"""
USER = """\
imports: [components]
model: {type: UserNet, num_classes: 2}
"""


@pytest.fixture
def build(write):
    """A function from a config's text to its builder."""
    return lambda text, **arguments: SegBuilder(Config(write(text), **arguments))


def test_a_model_is_built_once_and_touches_no_data(build):
    builder = build(DEEPLAB)
    assert type(builder.model) is DeepLabV3P
    assert builder.model is builder.model
    assert type(builder.model.backbone).__name__ == "ResNet18_vd"
    assert builder.model.state_dict()["head.aspp.conv_bn_relu._conv.weight"].shape[0] == 8


def test_missing_data_is_refused_when_the_data_set_is_used(build, capsys):
    message = refusal(capsys, lambda: build(DEEPLAB).train_dataset)
    assert message.startswith("config.yml:8: train_dataset: ")
    assert "no/such/folder" in message
    assert "\n" not in message


def test_a_data_set_is_built_without_a_model(build):
    section = "val_dataset: {type: UserData, transforms: [{type: Normalize}]}\n"
    builder = build("imports: [components]\nnum_classes: 3\n" + section)
    data = builder.val_dataset
    assert (data.mode, data.num_classes, data.ignore_index) == ("val", 3, 255)
    assert [type(t).__name__ for t in data.transforms] == ["Normalize"]
    assert "model" not in vars(builder)


def test_missing_sections_are_none_or_refused(build, capsys):
    builder = build(USER)
    assert builder.val_dataset is None
    assert builder.distill_loss is None
    for name in ("train_dataset", "lr_scheduler", "loss", "optimizer"):
        message = refusal(capsys, lambda name=name: getattr(builder, name))
        assert message == f"config.yml: the section '{name}' is missing"


def test_the_optimizer_has_the_models_parameters_and_the_schedule(build):
    builder = build(DEEPLAB)
    optimizer = builder.optimizer
    assert optimizer.get_lr() == 0.5
    trained = [p.name for p in builder.model.parameters() if not p.stop_gradient]
    assert [p.name for p in optimizer._parameter_list] == trained
    builder.lr_scheduler.step(10)
    assert optimizer.get_lr() == 0


def test_an_optimizer_of_more_than_the_model(build):
    builder = build(DEEPLAB)
    both = paddle.nn.LayerList([paddle.nn.Linear(2, 2), paddle.nn.Linear(2, 2)])
    assert len(builder.optimizer_of(both)._parameter_list) == 4
    assert "model" not in vars(builder)


def test_groups_of_the_optimizer_are_of_the_layer_that_it_is_for(build, capsys):
    custom_cfg = "momentum: 0.5, weight_decay: 0.1, custom_cfg: [{name: backbone, lr_mult: 0.1}]"
    builder = build(DEEPLAB.replace("momentum: 0.5", custom_cfg))
    both = paddle.nn.LayerList([builder.model, paddle.nn.Linear(2, 2)])
    slow, usual = builder.optimizer_of(both)._param_groups
    assert (slow["learning_rate"], usual["learning_rate"]) == (0.1, 1.0)
    assert len(slow["params"]) == sum(not p.stop_gradient for p in builder.model.backbone.parameters())
    message = refusal(capsys, lambda: builder.optimizer_of(paddle.nn.Linear(2, 2)))
    assert message.startswith(
        "config.yml: optimizer: custom_cfg.0: the name 'backbone' is part of no trained"
    )


def test_losses_with_their_coefficients(build):
    text = "ignore_index: 3\nloss: {types: [{type: CrossEntropyLoss}], coef: [1, 0.4, 0]}\n"
    text += "distill_loss: {types: [{type: KLLoss, temperature: 2}, {type: KLLoss}], coef: [3, 1]}\n"
    builder = build(text)
    assert builder.loss["coef"] == [1, 0.4, 0]
    assert len(builder.loss["types"]) == 3
    assert all(type(loss) is CrossEntropyLoss and loss.ignore_index == 3 for loss in builder.loss["types"])
    assert [loss.temperature for loss in builder.distill_loss["types"]] == [2, 1.0]
    assert all(type(loss) is KLLoss for loss in builder.distill_loss["types"])


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "model: {<<: *deeplab, backbone: {type: ResNet18_vd, output_stride: 4}}",
            "model.backbone: output_stride must be 8, 16 or 32, not 4",
        ),
        ("model: {<<: *deeplab, backbone_indices: [0, 4]}", "model: backbone_indices must be two of the"),
        (
            "loss: {types: [{type: CrossEntropyLoss}, {type: CrossEntropyLoss, weight: [-1]}], coef: [1, 1]}",
            "loss.types.1: weight must hold numbers that are 0 or more, not [-1]",
        ),
        (
            "optimizer: {type: SGD, momentum: 2}\nmodel: {type: UserNet, num_classes: 2}",
            "optimizer: momentum must be 0 or above and below 1, not 2",
        ),
        ("lr_scheduler: {type: PolynomialDecay, learning_rate: 0.1}", "lr_scheduler: decay_steps is"),
        (
            "train_dataset: {type: OpticDiscSeg, transforms: [{type: Normalize, std: [0, 1, 1]}]}",
            "train_dataset.transforms.0: ",
        ),
    ],
)
def test_a_value_that_a_component_refuses_is_reported_with_its_place(build, capsys, section, expected):
    deeplab = "{type: DeepLabV3P, num_classes: 2, backbone: {type: ResNet18_vd}}"
    section = section.replace("*deeplab", deeplab)
    builder = build(f"imports: [components]\n{section}\n")
    message = refusal(capsys, lambda: getattr(builder, section.split(":")[0]))
    # Each section is one line, so all of its keys have the line of the section.
    line = 1 + (f"imports: [components]\n{section}").split("\n").index(section.split("\n")[0])
    assert message.startswith(f"config.yml:{line}: {expected}")
    assert "\n" not in message


def test_components_within_components(build):
    model = build(
        "imports: [components]\n"
        "model:\n  type: HeadedNet\n  trunk: {type: ResNet18_vd}\n  head: {type: UserLoss, scale: 3}\n"
        "  parts: [{type: UserNet, num_classes: 4}, {type: free, x: 1}, 5]\n"
    ).model
    assert type(model.trunk).__name__ == "ResNet18_vd"
    assert (type(model.head), model.head.scale) == (components.UserLoss, 3)
    assert model.parts[0].conv.weight.shape[0] == 4
    assert model.parts[1:] == [{"type": "free", "x": 1}, 5]


def test_pretrained_reaches_a_model_whose_constructor_lacks_it(build, tmp_path):
    weights = {k: paddle.full(v.shape, 0.25) for k, v in components.UserNet(2).state_dict().items()}
    paddle.save(weights, str(tmp_path / "user.pdparams"))
    model = build(USER, opts=["model.pretrained=user.pdparams"]).model
    assert np.all(model.conv.weight.numpy() == 0.25)
    assert build(USER, opts=["model.pretrained=Null"]).model.conv.weight.numpy().std() > 0


def test_pretrained_weights_that_do_not_fit_are_refused(build, capsys, tmp_path):
    paddle.save(components.UserNet(3).state_dict(), str(tmp_path / "user.pdparams"))
    builder = build(USER, opts=["model.pretrained=user.pdparams"])
    message = refusal(capsys, lambda: builder.model)
    assert "wrongly shaped keys: conv.weight [3, 3, 1, 1] instead of [2, 3, 1, 1]" in message


SKIP = "skip_mismatched_weights"


def test_weights_of_another_shape_may_be_left_out(build, capsys, tmp_path):
    given = components.UserNet(3)
    given.conv.bias.set_value(paddle.full([3], 7.0))
    weights = {**given.state_dict(), "conv.bias": paddle.full([2], 7.0)}
    paddle.save(weights, str(tmp_path / "user.pdparams"))
    opts = ["model.pretrained=user.pdparams"]
    assert f"; {SKIP}: True in the config loads model.pretrained without them" in refusal(
        capsys, lambda: build(USER, opts=opts).model
    )
    model = build(USER, opts=[*opts, f"{SKIP}=True"]).model
    assert (model.conv.bias.numpy() == 7).all()
    assert list(model.conv.weight.shape) == [2, 3, 1, 1]
    output = capsys.readouterr().out
    assert (
        "UserNet keeps its own weight where user.pdparams has another shape: conv.weight [3, 3, 1, 1] "
        in output
    )
    assert "UserNet: 1 weights loaded" in output


def test_an_architecture_leaves_out_its_classifier(build, capsys, tmp_path):
    text = "num_classes: %d\nmodel: {type: FCN, backbone: {type: MobileNetV2_x0_25}}\n"
    other = build(text % 3).model
    paddle.save(other.state_dict(), str(tmp_path / "fcn.pdparams"))
    opts = ["model.pretrained=fcn.pdparams"]
    assert SKIP in refusal(capsys, lambda: build(text % 5, opts=opts).model)
    model = build(text % 5, opts=[*opts, f"{SKIP}=True"]).model
    ours, theirs = model.state_dict(), other.state_dict()
    same = [key for key in ours if ours[key].shape == theirs[key].shape]
    assert len(same) == len(ours) - 2
    assert all((ours[key].numpy() == theirs[key].numpy()).all() for key in same)
    assert capsys.readouterr().out.count("keeps its own weight") == 2


def test_weights_of_the_whole_model_need_no_file_for_the_backbone(build, capsys, tmp_path):
    text = (
        "model: {type: FCN, num_classes: 3, backbone: {type: MobileNetV2_x0_25, pretrained: gone.pdparams}}\n"
    )
    whole = build(text, opts=["model.backbone.pretrained=Null"]).model
    paddle.save(whole.state_dict(), str(tmp_path / "fcn.pdparams"))
    loaded = build(text, opts=["model.pretrained=fcn.pdparams"]).model.state_dict()
    assert all((loaded[key].numpy() == value.numpy()).all() for key, value in whole.state_dict().items())
    assert "gone.pdparams" in refusal(capsys, lambda: build(text).model)


def test_only_weights_of_another_shape_may_be_left_out(build, capsys, tmp_path):
    weights = {"conv.weight": components.UserNet(3).conv.weight}
    paddle.save(weights, str(tmp_path / "user.pdparams"))
    opts = ["model.pretrained=user.pdparams"]
    for more in ([], [f"{SKIP}=True"]):
        message = refusal(capsys, lambda more=more: build(USER, opts=opts + more).model)
        assert "missing keys: conv.bias" in message
        assert SKIP not in message


def test_a_model_that_takes_any_key_is_handed_pretrained(build):
    model = build("imports: [components]\nmodel: {type: LooseNet, pretrained: a, depth: 3}\n").model
    assert model.given == {"pretrained": "a", "depth": 3}


def test_a_bug_of_a_users_component_keeps_its_type(build):
    builder = build("imports: [components]\nmodel: {type: UserNet, num_classes: 2}\n")
    builder.cfg.dic["model"]["unchecked"] = 1
    with pytest.raises(TypeError, match="unchecked"):
        _ = builder.model


def test_what_paddle_refuses_is_a_user_error(build, capsys):
    builder = build(f"imports: [components]\nmodel: {{type: UserNet, num_classes: {2**31}}}\n")
    message = refusal(capsys, lambda: builder.model)
    assert message.startswith("config.yml:2: model: UserNet refuses {'num_classes': 2147483648}: ")
    assert "\n" not in message
