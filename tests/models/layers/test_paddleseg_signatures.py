"""The layers have PaddleSeg's parameters, so that its users' model files run unchanged."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
from numpy_layers import conv_bn_relu
from random_weights import randomized

from paddleseg.models import layers
from paddleseg.models.layers import (
    JPU,
    ASPPModule,
    AuxLayer,
    ConvBNLeakyReLU,
    ConvBNReLU,
    DepthwiseConvBN,
    PPModule,
    SeparableConvBNReLU,
    SyncBatchNorm,
)

# The public names of `paddleseg.models.layers` of PaddleSeg 2.8.
NAMES = [
    "ConvBNReLU",
    "ConvBN",
    "SeparableConvBNReLU",
    "DepthwiseConvBN",
    "AuxLayer",
    "SyncBatchNorm",
    "JPU",
    "ConvBNPReLU",
    "ConvBNAct",
    "ConvBNLeakyReLU",
    "ConvNormAct",
    "ConvGNAct",
    "Activation",
    "ASPPModule",
    "PPModule",
    "AttentionBlock",
    "NonLocal2D",
    "Add",
    "Subtract",
    "Multiply",
    "Divide",
    "Reshape",
    "Transpose",
    "Concat",
    "Flatten",
    "UAFM_SpAtten",
    "UAFM_SpAtten_S",
    "UAFM_ChAtten",
    "UAFM_ChAtten_S",
    "UAFM",
    "UAFMMobile",
    "UAFMMobile_SpAtten",
    "PolarizedSelfAttentionModule",
    "NMF2D",
]
X = np.random.default_rng(3).normal(size=[2, 8, 6, 6]).astype("float32")


def has_bias(layer, name):
    return f"{name}.bias" in layer.state_dict()


def test_all_public_names_are_there():
    assert set(NAMES) <= set(layers.__all__)
    assert all(callable(getattr(layers, name)) for name in NAMES)


def test_parameters_by_position_as_paddleseg_has_them():
    assert ConvBNReLU(8, 4, 3, 1)(paddle.to_tensor(X)).shape == [2, 4, 6, 6]  # padding
    assert not has_bias(AuxLayer(8, 4, 2, 0.1, bias_attr=False), "conv_bn_relu._conv")
    assert has_bias(AuxLayer(8, 4, 2), "conv_bn_relu._conv")
    separable = SeparableConvBNReLU(8, 4, 3, 1, False)
    assert not has_bias(separable, "piontwise_conv._conv")
    assert has_bias(separable, "depthwise_conv._conv")


@pytest.mark.parametrize(("dim_reduction", "copies"), [(True, 4), (False, 8)])
def test_pyramid_pooling_with_and_without_fewer_channels(dim_reduction, copies):
    module = PPModule(8, 5, (1, 2), dim_reduction, False)
    assert module.conv_bn_relu2._conv.weight.shape == [5, 8 + 2 * copies, 3, 3]
    stage = randomized(module).stages[0]
    expected = conv_bn_relu(stage[1], X.mean(axis=(2, 3), keepdims=True))
    np.testing.assert_allclose(stage(paddle.to_tensor(X)).numpy(), expected, atol=1e-5)
    assert module(paddle.to_tensor(X)).shape == [2, 5, 6, 6]


def test_depthwise_filters_see_one_channel():
    layer = randomized(DepthwiseConvBN(8, 16, 3, bias_attr=False))
    before = layer(paddle.to_tensor(X)).numpy()
    changed = X.copy()
    changed[:, 3] += 1
    moved = np.abs(layer(paddle.to_tensor(changed)).numpy() - before).max(axis=(0, 2, 3)) > 1e-6
    assert list(np.flatnonzero(moved)) == [6, 7]


def test_joint_upsampling_returns_the_fusion_at_the_size_of_the_last_map_but_two():
    maps = [paddle.rand([1, c, s, s]) for c, s in ((4, 32), (6, 16), (8, 8), (10, 4))]
    jpu = randomized(JPU([4, 6, 8, 10], width=3))
    *same, fused = jpu(*maps)
    assert all(one is other for one, other in zip(same, maps))
    assert fused.shape == [1, 12, 16, 16]
    resized = [
        nn.functional.interpolate(conv(one), [16, 16], mode="bilinear", align_corners=True)
        for conv, one in ((jpu.conv5, maps[3]), (jpu.conv4, maps[2]))
    ]
    joined = paddle.concat([*resized, jpu.conv3(maps[1])], axis=1)
    np.testing.assert_allclose(fused[:, 9:].numpy(), jpu.dilation4(joined).numpy(), atol=1e-6)
    assert jpu.dilation4.depthwise_conv._conv._dilation == [8, 8]


def test_operations_as_layers():
    x, y = paddle.rand([2, 6]), paddle.rand([2, 6])
    np.testing.assert_array_equal(layers.Add()(x, y).numpy(), (x + y).numpy())
    np.testing.assert_array_equal(layers.Subtract()(x, y).numpy(), (x - y).numpy())
    np.testing.assert_array_equal(layers.Multiply()(x, y).numpy(), (x * y).numpy())
    np.testing.assert_array_equal(layers.Divide()(x, y).numpy(), (x / y).numpy())
    assert layers.Reshape()(x, [3, 4]).shape == [3, 4]
    assert layers.Transpose()(x, perm=[1, 0]).shape == [6, 2]
    assert layers.Concat()([x, y], axis=1).shape == [2, 12]
    assert layers.Flatten()(paddle.rand([2, 3, 4]), start_axis=1).shape == [2, 12]


def test_sync_batch_norm_is_a_plain_one_until_a_training_replaces_it():
    assert type(SyncBatchNorm(4, data_format="NHWC")) is nn.BatchNorm2D


@pytest.mark.parametrize(
    "build",
    [
        lambda **layout: ConvBNReLU(8, 4, 3, **layout),
        lambda **layout: ConvBNLeakyReLU(8, 4, 3, stride=2, padding=1, **layout),
        lambda **layout: SeparableConvBNReLU(8, 4, 3, **layout),
        lambda **layout: ASPPModule([1, 2], 8, 4, False, True, True, **layout),
        lambda **layout: layers.ConvGNAct(8, 4, 3, num_groups=2, act_type="relu", **layout),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_channels_may_be_last(build, training):
    first, last = randomized(build()), randomized(build(data_format="NHWC"))
    for layer in (first, last):
        paddle.seed(2)
        layer.train() if training else layer.eval()
        for dropout in (one for one in layer.sublayers() if isinstance(one, nn.Dropout)):
            dropout.p = 0
    expected = first(paddle.to_tensor(X)).numpy()
    result = last(paddle.to_tensor(X.transpose(0, 2, 3, 1))).numpy()
    np.testing.assert_allclose(result.transpose(0, 3, 1, 2), expected, atol=2e-5)
