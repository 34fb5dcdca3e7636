"""The replacements in an ONNX file compute the same numbers, and Paddle keeps its own functions."""

import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
import tiny
from exporting import converts

from paddleseg import models
from paddleseg.graphs import onnx_file
from paddleseg.graphs.onnx_operations import convertible, leaky, pooled


def means(x, bins):
    """Adaptive average pooling of N x C x H x W by its definition, in float64."""
    out = np.empty((*x.shape[:2], *bins))
    for i in range(bins[0]):
        for j in range(bins[1]):
            top, left = (k * n // b for k, n, b in zip((i, j), x.shape[2:], bins))
            bottom, right = (-(-(k + 1) * n // b) for k, n, b in zip((i, j), x.shape[2:], bins))
            out[:, :, i, j] = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return out


@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (6, 6), (4, 1), (7, 11)])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 4), (12, 18), (13, 31)])
def test_means_over_regions_of_any_size(size, bins):
    x = np.random.default_rng(1).standard_normal((2, 3, *size))
    np.testing.assert_allclose(pooled(paddle.to_tensor(x), bins).numpy(), means(x, bins), rtol=0, atol=1e-12)


def test_none_stands_for_the_maps_own_height():
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 7))
    given = pooled(paddle.to_tensor(x), (None, 3)).numpy()
    np.testing.assert_allclose(given, means(x, (5, 3)), rtol=0, atol=1e-12)


def test_leaky_has_its_slope_below_0():
    x = np.array([-2.0, -0.5, 0.0, 3.0])
    np.testing.assert_array_equal(leaky(paddle.to_tensor(x), 0.25).numpy(), [-0.5, -0.125, 0, 3])


def test_outside_a_graph_paddles_own_functions_run():
    x = paddle.randn([2, 3, 13, 31])
    pooling, slope = F.adaptive_avg_pool2d, F.leaky_relu
    expected = pooling(x, 6).numpy(), slope(x, 0.2).numpy()
    with convertible():
        assert F.adaptive_avg_pool2d is not pooling
        given = nn.AdaptiveAvgPool2D(6)(x).numpy(), nn.LeakyReLU(0.2)(x).numpy()
    assert all((ours == theirs).all() for ours, theirs in zip(given, expected))


def test_paddles_functions_come_back_after_an_error():
    pooling, slope = F.adaptive_avg_pool2d, F.leaky_relu
    with pytest.raises(ZeroDivisionError), convertible():
        raise ZeroDivisionError
    assert F.adaptive_avg_pool2d is pooling
    assert F.leaky_relu is slope


class Whole(nn.Layer):
    """The main output of a model or layer."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        outputs = self.model(x)
        return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


class Functions(nn.Layer):
    """A user's layer that calls the functions in other ways than Paddle's layers do."""

    def forward(self, x):
        y = F.leaky_relu(x, negative_slope=0.3)
        columns = F.adaptive_avg_pool2d(y, output_size=[1, 5])
        return columns + F.interpolate(F.adaptive_avg_pool2d(y, (3, None)), [4, 5], mode="area")


def assert_file_equals(folder, layer, shape, sizes):
    """Write an ONNX file for inputs of `shape` and compare it with the layer on inputs of each of `sizes`."""
    import onnxruntime

    layer.eval()
    path = folder / onnx_file.write(layer, str(folder), shape)
    assert layer.forward.__func__ is type(layer).forward
    session = onnxruntime.InferenceSession(str(path))
    for size in sizes:
        x = np.random.default_rng(0).standard_normal(size).astype("float32")
        with paddle.no_grad():
            ours = layer(paddle.to_tensor(x)).numpy()
        theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours).max() < 1e-4 * np.abs(ours).max(), size


@converts
@pytest.mark.parametrize("shape", [[-1, 3, -1, -1], [1, 3, 7, 20]])
@pytest.mark.parametrize(
    "made",
    [
        lambda: nn.Sequential(nn.Conv2D(3, 4, 3), nn.AdaptiveAvgPool2D(6), nn.LeakyReLU(0.2)),
        lambda: nn.AdaptiveAvgPool2D(1),
        Functions,
    ],
    ids=["layers", "one bin", "functions"],
)
def test_a_file_computes_what_the_layer_does(tmp_path, made, shape):
    sizes = [(2, 3, 17, 23), (1, 3, 7, 40)] if shape[0] < 0 else [shape]
    paddle.seed(4)
    assert_file_equals(tmp_path, Whole(made()), shape, sizes)


def small(kind, **given):
    """A model on a backbone of few stages; maps of 1/4 to 1/8."""
    if kind == "SegFormer":
        return models.SegFormer(3, models.backbones.MixVisionTransformer_B0(), embedding_dim=8)
    if kind == "OCRNet":
        return models.OCRNet(3, tiny.SmallHRNet(has_se=True, use_psa=True), [0], 8, 4)
    backbone = models.backbones.ResNet18_vd()
    if kind == "PPLiteSeg":
        given = {"cm_out_ch": 8, "arm_out_chs": (8,), "seg_head_inter_chs": (8,), **given}
        return models.PPLiteSeg(3, backbone, backbone_indices=(0, 1, 3), **given)
    if kind == "UPerNet":
        return models.UPerNet(3, backbone, (0, 1, 2, 3), channels=8)
    if kind == "PSPNet":
        given = {"pp_out_channels": 8}
    return getattr(models, kind)(3, backbone, **given)


@converts
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("PPLiteSeg", {}),
        ("PPLiteSeg", {"arm_type": "UAFM_ChAtten"}),
        ("PPLiteSeg", {"resize_mode": "area"}),
        ("PSPNet", {}),
        ("UPerNet", {}),
        ("SegFormer", {}),
        ("OCRNet", {}),
        ("DeepLabV3", {"aspp_out_channels": 8}),
        ("FCN", {"channels": 8}),
    ],
)
def test_an_architecture_becomes_a_file_for_any_size(tmp_path, kind, given):
    paddle.seed(4)
    model = Whole(small(kind, **given))
    assert_file_equals(tmp_path, model, [-1, 3, -1, -1], [(2, 3, 64, 96), (1, 3, 97, 33)])
