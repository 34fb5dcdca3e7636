"""What holds of every architecture: a new one is a line of `SMALL`, its refusals, and its figures."""

import hashlib
import inspect
import json
import pathlib
import sys

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from context_net import set_named_weights
from refusal import refusal

from paddleseg import models
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.paddleseg_keys import OF_COMPONENTS
from paddleseg.exporting.exporter import ExportedModel
from paddleseg.models.pp_liteseg import ARM_TYPES

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

from named_weights import image, weight  # noqa: E402

# Of the released PaddleSeg 2.8.0 on Paddle 3.3.1: the number of keys and the SHA-256 of the sorted lines "key
# shape"; of most, every third row and column of the logits that `named_weights` leads to.
FIGURES = {
    case["name"]: case for case in map(json.loads, (GOLDEN / "architectures.jsonl").read_text().splitlines())
}
LOGITS = np.load(GOLDEN / "architectures_logits_64.npz")
ODD_SIZE = np.load(GOLDEN / "architectures_odd_size.npz")
SIGNATURES = json.loads((GOLDEN / "signatures.json").read_text())["models"]

# Options that make each of them small on `Trunk`, and its outputs in training and in evaluation.
SMALL = {
    "DeepLabV3": ({"backbone_indices": (4,), "aspp_out_channels": 8}, 1, 1),
    "DeepLabV3P": ({"backbone_indices": (1, 4), "aspp_out_channels": 8}, 1, 1),
    "FCN": ({}, 1, 1),
    "PPLiteSeg": ({"cm_out_ch": 8, "arm_out_chs": (6,), "seg_head_inter_chs": (4,)}, 3, 1),
    "PSPNet": ({"backbone_indices": (3, 4), "pp_out_channels": 8}, 2, 2),
    "UPerNet": ({"backbone_indices": (1, 2, 3, 4), "channels": 8, "enable_auxiliary_loss": True}, 2, 2),
}
each_architecture = pytest.mark.parametrize("name", SMALL)


class Trunk(nn.Layer):
    """A backbone of five maps, at strides 2 to 32, as a user might bring one."""

    feat_channels = (4, 4, 6, 8, 8)

    def __init__(self):
        super().__init__()
        before = (3, *self.feat_channels[:-1])
        self.convs = nn.LayerList(
            [nn.Conv2D(one, two, 3, stride=2, padding=1) for one, two in zip(before, self.feat_channels)]
        )

    def forward(self, x):
        maps = []
        for conv in self.convs:
            x = nn.functional.leaky_relu(conv(x))
            maps.append(x)
        return maps


def small(name, num_classes=3, **changes):
    return getattr(models, name)(num_classes, Trunk(), **{**SMALL[name][0], **changes})


def with_frozen_statistics(model):
    """Return `model` in training, its norms and dropouts in evaluation, which leaves nothing to chance."""
    model.train()
    for layer in model.sublayers():
        if isinstance(layer, (nn.BatchNorm2D, nn.Dropout)):
            layer.eval()
    return model


def same_but_for_rounding(got, expected):
    """Whether two arrays of the same shape differ by less than 3e-5 of the largest absolute value.

    MKL's code paths, AVX2 and the one for processors it does not know, are up to 2e-5 apart after 50 layers.
    """
    assert got.shape == expected.shape
    return np.abs(got - expected).max() < 3e-5 * np.abs(expected).max()


def digest_of(shapes):
    return hashlib.sha256("\n".join(sorted(f"{k} {list(v)}" for k, v in shapes.items())).encode()).hexdigest()


@pytest.mark.parametrize("name", FIGURES)
def test_keys_and_shapes_are_paddlesegs(name):
    with paddle.LazyGuard():  # shapes need no values
        model = build_component(FIGURES[name]["model"], manager.MODELS, "model")
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert (len(shapes), digest_of(shapes)) == (FIGURES[name]["num_keys"], FIGURES[name]["sha256"])


@pytest.mark.parametrize("name", sorted({key.rpartition(" ")[0] for key in LOGITS}))
def test_logits_are_paddlesegs(name, tmp_path):
    figures = FIGURES[name]
    path = tiny.write_yaml(tmp_path / "config.yml", {"model": figures["model"]})
    model = SegBuilder(Config(path, sections=("model",), required=("model",))).model
    set_named_weights(model, weight)
    x = paddle.to_tensor(image(1, 64, 64, seed=7))
    with paddle.no_grad():
        in_evaluation = model(x)
        in_training = with_frozen_statistics(model)(x)
    assert (len(in_evaluation), len(in_training)) == (figures["num_eval"], figures["num_train"])
    for i, logits in enumerate(in_training):
        assert same_but_for_rounding(logits.numpy()[:, :, ::3, ::3], LOGITS[f"{name} {i}"])
    for one, other in zip(in_evaluation, in_training):
        assert (one.numpy() == other.numpy()).all()


@pytest.mark.parametrize("name", sorted({key.rpartition(" ")[0] for key in ODD_SIZE}))
def test_logits_at_an_odd_size_are_paddlesegs(name):
    """With aligned corners, where there are any to choose, as `released_odd_size.py` describes."""
    spec = dict(FIGURES[name]["model"])
    if "align_corners" in SIGNATURES[spec["type"]]:
        spec["align_corners"] = True
    model = build_component(spec, manager.MODELS, "model")
    set_named_weights(model, weight)
    with paddle.no_grad():
        outputs = with_frozen_statistics(model)(paddle.to_tensor(image(1, 65, 97, seed=7)))
    assert len(outputs) == FIGURES[name]["num_train"]
    for i, logits in enumerate(outputs):
        assert same_but_for_rounding(logits.numpy()[:, :, ::3, ::3], ODD_SIZE[f"{name} {i}"])


def test_keys_and_logits_of_deeplabv3_are_paddlesegs():
    model = build_component(FIGURES["DeepLabV3 ResNet50_vd"]["model"], manager.MODELS, "model")
    set_named_weights(model, weight)
    keys = json.loads((GOLDEN / "deeplabv3_resnet50_vd_keys.json").read_text())
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == keys
    with paddle.no_grad():
        (logits,) = model(paddle.to_tensor(image(1, 64, 64, seed=7)))
    expected = np.load(GOLDEN / "deeplabv3_resnet50_vd_logits_64.npz")["logits"]
    assert same_but_for_rounding(logits.numpy(), expected)


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_and_defaults_are_paddlesegs(name):
    def plain(default):
        return list(default) if isinstance(default, tuple) else default

    ours = {
        key: "required" if p.default is p.empty else plain(p.default)
        for key, p in inspect.signature(getattr(models, name)).parameters.items()
    }
    theirs = {key: value for key, value in SIGNATURES[name].items() if key not in OF_COMPONENTS}
    assert ours == theirs
    assert list(ours) == list(theirs)


@each_architecture
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 47)])
def test_logits_have_the_images_size_and_stay_on_the_model(name, size):
    model = small(name)
    for mode, count in zip((model.train, model.eval), SMALL[name][1:]):
        mode()
        logits = model(paddle.zeros([2, 3, *size]))
        assert isinstance(logits, list)
        assert [list(x.shape) for x in logits] == [[2, 3, *size]] * count
        assert all(one is other for one, other in zip(model.logit_list, logits))
        assert len(model.logit_list) == count


@each_architecture
@pytest.mark.parametrize("size", [(64, 64), (65, 97)])
def test_forward_is_the_heads_logits_upsampled(name, size):
    model = small(name)
    model.eval()
    x = paddle.randn([2, 3, *size])
    heads = model.head_logits(x)
    assert all(one is other for one, other in zip(model.head_logit_list, heads))
    assert all(one.shape[2] < size[0] for one in heads)
    parts = model.upsampled(heads, size)
    for logits, of_parts, head, of_forward in zip(model(x), parts, heads, model.head_logit_list):
        np.testing.assert_array_equal(logits.numpy(), of_parts.numpy())
        np.testing.assert_array_equal(head.numpy(), of_forward.numpy())


@each_architecture
def test_one_image_is_a_batch(name):
    assert all(np.isfinite(x.numpy()).all() for x in small(name)(paddle.randn([1, 3, 33, 47])))


def without_gradient(model):
    """Return the keys of the trained parameters that a step in training gives no gradient."""
    sum(logits.square().sum() for logits in model(paddle.randn([4, 3, 64, 96]))).backward()
    trained = {key: p for key, p in model.named_parameters() if not p.stop_gradient}
    # Biases ahead of a batch norm have one, of zero.
    return [
        key
        for key, p in trained.items()
        if p.grad is None or (p.ndim == 4 and not np.abs(p.grad.numpy()).sum() > 0)
    ]


@each_architecture
def test_a_gradient_reaches_every_trained_parameter(name):
    paddle.seed(3)
    assert without_gradient(small(name)) == []


@pytest.mark.parametrize("arm_type", ARM_TYPES)
def test_a_gradient_reaches_every_fusion(arm_type):
    paddle.seed(3)
    assert without_gradient(small("PPLiteSeg", arm_type=arm_type)) == []


def test_what_upernet_never_runs_is_not_trained():
    model = small("UPerNet")
    for key, p in model.named_parameters():
        running = key.endswith(("._mean", "._variance"))
        assert p.stop_gradient == (running or key.startswith("head.conv_last.")), key


@each_architecture
def test_an_exported_graph_gives_the_main_logits_at_any_size(name, tmp_path):
    model = small(name)
    model.eval()
    spec = [paddle.static.InputSpec([None, 3, None, None], "float32", name="x")]
    graph = paddle.jit.to_static(ExportedModel(model, "none"), input_spec=spec, full_graph=True)
    paddle.jit.save(graph, str(tmp_path / "model"))
    loaded = paddle.jit.load(str(tmp_path / "model"))
    for size in ((64, 64), (65, 97)):
        x = paddle.randn([2, 3, *size])
        assert same_but_for_rounding(loaded(x).numpy(), model(x)[0].numpy())


@each_architecture
def test_pretrained_is_the_whole_model(name, tmp_path):
    given = small(name)
    loaded = small(name, pretrained=tiny.save_weights(tmp_path / "model.pdparams", given))
    for key, value in given.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[key].numpy(), value.numpy())


@each_architecture
def test_weights_of_another_class_count_are_refused(name, tmp_path, capsys):
    path = tiny.save_weights(tmp_path / "model.pdparams", small(name))
    told = refusal(capsys, lambda: small(name, num_classes=5, pretrained=path))
    assert told.startswith(f"the weights in {path} are not those of {name}: wrongly shaped keys: ")
    assert "instead of [5, " in told


@each_architecture
def test_a_layer_that_is_no_backbone_is_refused(name, capsys):
    options = SMALL[name][0]
    told = refusal(capsys, lambda: getattr(models, name)(2, nn.Conv2D(3, 3, 1), **options))
    assert told.startswith("Conv2D is no backbone: it has no feat_channels")


def stages(told):
    return f"backbone_indices must be {told}"


REFUSED = [
    ("DeepLabV3", {"backbone_indices": (5,)}, stages("one of the backbone's 5 stages, from 0 to 4, not [5]")),
    ("DeepLabV3", {"backbone_indices": (0, 1)}, stages("one of the backbone's 5 stages")),
    ("DeepLabV3P", {"backbone_indices": (-6, 1)}, stages("two of the backbone's 5 stages")),
    ("DeepLabV3P", {"backbone_indices": (1,)}, stages("two of the backbone's 5 stages")),
    ("FCN", {"backbone_indices": ()}, stages("one of the backbone's 5 stages")),
    ("PSPNet", {"backbone_indices": (2, 3, 4)}, stages("two of the backbone's 5 stages")),
    ("PPLiteSeg", {"backbone_indices": (2,)}, stages("at least two of the backbone's 5 stages")),
    ("PPLiteSeg", {"backbone_indices": (2, 3, 5)}, stages("at least two of the backbone's 5 stages")),
    ("PPLiteSeg", {"backbone_indices": (4, 3, 2)}, "backbone_indices must go from fine to coarse, not [4, 3"),
    ("UPerNet", {"backbone_indices": (1, 2)}, stages("at least three of the backbone's 5 stages")),
    (
        "UPerNet",
        {"backbone_indices": (1,), "enable_auxiliary_loss": False},
        stages("at least two of the backbone's 5 stages"),
    ),
    ("DeepLabV3", {"aspp_ratios": (1, 0)}, "aspp_ratios must hold whole numbers above 0, not [1, 0]"),
    ("DeepLabV3P", {"aspp_ratios": (1, 0)}, "aspp_ratios must hold whole numbers above 0, not [1, 0]"),
    ("DeepLabV3", {"aspp_out_channels": 0}, "aspp_out_channels must be a whole number above 0, not 0"),
    ("DeepLabV3P", {"aspp_out_channels": -1}, "aspp_out_channels must be a whole number above 0, not -1"),
    ("FCN", {"channels": 0}, "channels must be a whole number above 0, not 0"),
    ("PSPNet", {"pp_out_channels": 0}, "pp_out_channels must be a whole number above 0, not 0"),
    ("PSPNet", {"bin_sizes": (1, 0)}, "bin_sizes must hold whole numbers above 0, not [1, 0]"),
    ("PSPNet", {"bin_sizes": ()}, "bin_sizes must hold at least one size"),
    ("UPerNet", {"channels": 0}, "channels must be a whole number above 0, not 0"),
    ("UPerNet", {"dropout_prob": 1.0}, "dropout_prob must be 0 or above and below 1, not 1.0"),
    ("PPLiteSeg", {"arm_type": "UAFM_SpAten"}, "unknown arm_type 'UAFM_SpAten'; did you mean 'UAFM_SpAtten'"),
    ("PPLiteSeg", {"cm_bin_sizes": ()}, "cm_bin_sizes must hold at least one size"),
    ("PPLiteSeg", {"cm_out_ch": 0}, "cm_out_ch must be a whole number above 0, not 0"),
    ("PPLiteSeg", {"arm_out_chs": (0,)}, "arm_out_chs must hold whole numbers above 0, not [0]"),
    (
        "PPLiteSeg",
        {"arm_out_chs": (6, 6)},
        "arm_out_chs must hold one number, or one for each of the 3 backbone_indices, not [6, 6]",
    ),
    ("PPLiteSeg", {"seg_head_inter_chs": ()}, "seg_head_inter_chs must hold one number, or one for each"),
]


@pytest.mark.parametrize(("name", "options", "told"), REFUSED)
def test_what_cannot_be_built_is_refused(name, options, told, capsys):
    assert refusal(capsys, lambda: small(name, **options)).startswith(told)
