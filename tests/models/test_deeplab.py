import json
import pathlib
import sys
import zlib

import numpy as np
import paddle
import pytest
from refusal import refusal

from paddleseg.models import DeepLabV3P, backbones

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

from named_weights import image, weight  # noqa: E402

TUTORIAL = {
    "backbone": {"output_stride": 8, "multi_grid": [1, 2, 4]},
    "model": {"aspp_ratios": [1, 12, 24, 36]},
}


def deeplab(name, num_classes=2, backbone=None, model=None):
    """Return a DeepLabV3P in eval mode, every weight a function of its name."""
    result = DeepLabV3P(num_classes, getattr(backbones, name)(**(backbone or {})), **(model or {}))
    result.set_state_dict(
        {key: weight(key, tuple(value.shape)) for key, value in result.state_dict().items()}
    )
    result.eval()
    return result


def logits_of(model, height, width, seed):
    with paddle.no_grad():
        (logits,) = model(paddle.to_tensor(image(1, height, width, seed)))
    return logits.numpy()


@pytest.mark.parametrize("depth", [18, 50])
def test_keys_shapes_and_logits_are_paddlesegs(depth):
    model = deeplab(f"ResNet{depth}_vd", **TUTORIAL)
    keys = json.loads((GOLDEN / f"deeplabv3p_resnet{depth}_vd_keys.json").read_text())
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == keys
    expected = np.load(GOLDEN / f"deeplabv3p_resnet{depth}_vd_logits_64.npz")["logits"]
    got = logits_of(model, 64, 64, seed=7)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


# Figures of the released PaddleSeg 2.8.0 on Paddle 3.3.1, with the same weights and the image of seed 1: the
# CRC-32 of its keys and shapes; mean, standard deviation and five evenly spaced values of its logits.
FIGURES = {
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
    lines = [f"{key} {list(value.shape)}" for key, value in model.state_dict().items()]
    return zlib.crc32("\n".join(lines).encode())


@pytest.mark.parametrize("case", FIGURES)
def test_other_forms_are_paddlesegs(case):
    name, backbone, options, size, crc, moments, samples = FIGURES[case]
    options = dict(options)
    model = deeplab(name, options.pop("num_classes", 2), backbone, options)
    assert crc_of_keys(model) == crc
    logits = logits_of(model, *size, seed=1).astype("float64")
    within = 1e-5 * np.abs(logits).max()
    assert (logits.mean(), logits.std()) == pytest.approx(moments, rel=0, abs=within)
    places = np.linspace(0, logits.size - 1, 5).astype(int)
    assert logits.ravel()[places] == pytest.approx(samples, rel=0, abs=within)


def test_keys_of_152_layers_are_paddlesegs():
    with paddle.LazyGuard():
        model = DeepLabV3P(2, backbones.ResNet152_vd(output_stride=16))
    assert crc_of_keys(model) == 0xD7A8EC50


class Trunk(paddle.nn.Layer):
    """A backbone of two maps, as a user might bring one."""

    feat_channels = [4, 6]

    def __init__(self):
        super().__init__()
        self.low = paddle.nn.Conv2D(3, 4, 3, stride=2, padding=1)
        self.high = paddle.nn.Conv2D(4, 6, 3, stride=2, padding=1)

    def forward(self, x):
        low = self.low(x)
        return [low, self.high(low)]


def small(**options):
    return DeepLabV3P(3, Trunk(), backbone_indices=(0, 1), aspp_out_channels=8, **options)


def test_stages_may_be_counted_from_the_end():
    model = DeepLabV3P(2, Trunk(), backbone_indices=(-2, -1), aspp_out_channels=8)
    assert list(model(paddle.zeros([2, 3, 16, 16]))[0].shape) == [2, 2, 16, 16]


def test_no_ratio_leaves_the_images_mean():
    assert list(small(aspp_ratios=[])(paddle.zeros([2, 3, 16, 16]))[0].shape) == [2, 3, 16, 16]


def test_missing_weights_are_refused(capsys):
    told = refusal(capsys, lambda: small(pretrained="no/such.pdparams"))
    assert told == "no file of weights at no/such.pdparams"
