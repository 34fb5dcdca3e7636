"""Models on their backbones have the keys, shapes and logits of PaddleSeg 2.8.0 on Paddle 3.3.1."""

import contextlib
import hashlib
import json
import sys
import zlib

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from architecture_tests import GOLDEN, SIGNATURES, same_but_for_rounding
from context_net import set_named_weights

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.models import DeepLabV3P, backbones
from paddleseg.models.backbones.transformer_utils import DropPath

sys.path.insert(0, str(GOLDEN))

from named_weights import image, weight  # noqa: E402

# The number of keys and the SHA-256 of the sorted lines "key shape"; of most, every third row and column of
# the logits with the weights of `named_weights`.
FIGURES = {
    case["name"]: case for case in map(json.loads, (GOLDEN / "architectures.jsonl").read_text().splitlines())
}
LOGITS = np.load(GOLDEN / "architectures_logits_64.npz")
ODD_SIZE = np.load(GOLDEN / "architectures_odd_size.npz")


def names(figures):
    return sorted({key.rpartition(" ")[0] for key in figures})


def build(spec):
    """Return a model with named weights, in eval mode."""
    return set_named_weights(build_component(spec, manager.MODELS, "model"), weight)


def logits_of(model, height, width, seed):
    """Return the arrays of logits of one image."""
    with paddle.no_grad():
        return [logits.numpy() for logits in model(paddle.to_tensor(image(1, height, width, seed)))]


def train_with_frozen_statistics(model):
    """Set a model to training, but its norms and dropouts to evaluation, which leaves nothing to chance."""
    model.train()
    for layer in model.sublayers():
        if isinstance(layer, (nn.BatchNorm2D, nn.Dropout, nn.Dropout2D, DropPath)):
            layer.eval()


def shapes_of(model):
    return {key: list(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", FIGURES)
def test_keys_and_shapes(name):
    with paddle.LazyGuard():  # shapes need no values
        model = build_component(FIGURES[name]["model"], manager.MODELS, "model")
    lines = sorted(f"{key} {shape}" for key, shape in shapes_of(model).items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert (len(lines), digest) == (FIGURES[name]["num_keys"], FIGURES[name]["sha256"])


@pytest.mark.parametrize("name", names(LOGITS))
def test_logits(name, tmp_path):
    figures = FIGURES[name]
    path = tiny.write_yaml(tmp_path / "config.yml", {"model": figures["model"]})
    # The named weights replace the initial ones. Paddle 2 cannot set weights that were never made.
    with contextlib.nullcontext() if paddle.__version__.startswith("2.") else paddle.LazyGuard():
        model = SegBuilder(Config(path, sections=("model",), required=("model",))).model
    set_named_weights(model, weight)
    in_evaluation = logits_of(model, 64, 64, seed=7)
    train_with_frozen_statistics(model)
    in_training = logits_of(model, 64, 64, seed=7)
    assert (len(in_evaluation), len(in_training)) == (figures["num_eval"], figures["num_train"])
    for i, logits in enumerate(in_training):
        assert same_but_for_rounding(logits[:, :, ::3, ::3], LOGITS[f"{name} {i}"])
    for one, other in zip(in_evaluation, in_training):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", names(ODD_SIZE))
def test_logits_at_an_odd_size(name):
    """With aligned corners, where there are any to choose, as `released_architectures.py` describes."""
    spec = dict(FIGURES[name]["model"])
    if spec["backbone"]["type"].startswith("HRNet"):
        spec["backbone"] = {**spec["backbone"], "align_corners": True}
    if "align_corners" in SIGNATURES[spec["type"]]:
        spec["align_corners"] = True
    model = build(spec)
    train_with_frozen_statistics(model)
    outputs = logits_of(model, 65, 97, seed=7)
    assert len(outputs) == FIGURES[name]["num_train"]
    for i, logits in enumerate(outputs):
        assert same_but_for_rounding(logits[:, :, ::3, ::3], ODD_SIZE[f"{name} {i}"])


# Of the distillation tutorial.
TUTORIAL = {
    "type": "DeepLabV3P",
    "num_classes": 2,
    "aspp_ratios": [1, 12, 24, 36],
    "backbone": {"output_stride": 8, "multi_grid": [1, 2, 4]},
}


@pytest.mark.parametrize(
    ("name", "spec", "tolerance"),
    [
        ("deeplabv3_resnet50_vd", FIGURES["DeepLabV3 ResNet50_vd"]["model"], 3e-5),
        ("deeplabv3p_resnet18_vd", TUTORIAL, 1e-5),
        ("deeplabv3p_resnet50_vd", TUTORIAL, 1e-5),
    ],
)
def test_keys_and_logits_of_deeplab(name, spec, tolerance):
    if spec is TUTORIAL:
        depth = name.split("_")[1][len("resnet") :]
        spec = {**spec, "backbone": {**spec["backbone"], "type": f"ResNet{depth}_vd"}}
    model = build(spec)
    assert shapes_of(model) == json.loads((GOLDEN / f"{name}_keys.json").read_text())
    (logits,) = logits_of(model, 64, 64, seed=7)
    expected = np.load(GOLDEN / f"{name}_logits_64.npz")["logits"]
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() < tolerance * np.abs(expected).max()


# The CRC-32 of keys and shapes, and, of the logits of the image of seed 1, mean, standard deviation and five
# evenly spaced values.
DEEPLABV3P = {
    "34 layers, stride 16, aligned corners, 3 classes": (
        "ResNet34_vd",
        {"output_stride": 16},
        {"num_classes": 3, "align_corners": True},
        (48, 48),
        0x802AA2AD,
        (687.451626, 1156.98241),
        (-9.04582691, -1485.8866, -900.927002, -1275.08447, 376.424988),
    ),
    "34 layers, stride 16, multi-grid, other stages": (
        "ResNet34_vd",
        {"output_stride": 16, "multi_grid": (1, 2, 4)},
        {"backbone_indices": (1, 3)},
        (40, 56),
        0x5D956FDE,
        (441.008501, 1040.2824),
        (-809.431396, -1865.24353, -684.604187, -564.621216, -427.626465),
    ),
    "18 layers, odd size, other stages and ratios": (
        "ResNet18_vd",
        {"output_stride": 8, "multi_grid": (1, 2)},
        {"num_classes": 4, "backbone_indices": (1, 2), "aspp_ratios": (1, 2), "align_corners": True},
        (45, 33),
        0x3FFD2B64,
        (24.5539092, 38.5812172),
        (-6.08504438, -7.63902283, 93.4476013, 4.94720888, -13.4298372),
    ),
    "50 layers, stride 16, aligned corners": (
        "ResNet50_vd",
        {"output_stride": 16, "multi_grid": (1, 2, 4)},
        {"align_corners": True},
        (48, 40),
        0xDCA623A4,
        (2103.58914, 3151.41699),
        (28.9296684, 801.729004, -801.279785, 4200.67383, 1968.52368),
    ),
    "101 layers, stride 8": (
        "ResNet101_vd",
        {"output_stride": 8, "multi_grid": (1, 2, 4)},
        {"aspp_ratios": (1, 12, 24, 36)},
        (48, 48),
        0xFAD81477,
        (841704.449, 11609877.8),
        (8234669.0, -13799291.0, -4652672.5, -2175237.5, 1264531.5),
    ),
}


def crc_of_keys(model):
    return zlib.crc32("\n".join(f"{key} {shape}" for key, shape in shapes_of(model).items()).encode())


@pytest.mark.parametrize("case", DEEPLABV3P)
def test_other_forms_of_deeplabv3p(case):
    name, backbone, options, size, crc, moments, samples = DEEPLABV3P[case]
    spec = {"type": "DeepLabV3P", "num_classes": 2, **options, "backbone": {"type": name, **backbone}}
    model = build(spec)
    assert crc_of_keys(model) == crc
    (logits,) = logits_of(model, *size, seed=1)
    logits = logits.astype("float64")
    within = 1e-5 * np.abs(logits).max()
    assert (logits.mean(), logits.std()) == pytest.approx(moments, rel=0, abs=within)
    places = np.linspace(0, logits.size - 1, 5).astype(int)
    assert logits.ravel()[places] == pytest.approx(samples, rel=0, abs=within)


def test_keys_of_152_layers():
    with paddle.LazyGuard():
        model = DeepLabV3P(2, backbones.ResNet152_vd(output_stride=16))
    assert crc_of_keys(model) == 0xD7A8EC50
