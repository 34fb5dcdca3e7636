"""Fake-quantised layers against the float layers that they were, and their ranges against batches."""

import math

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg import onednn
from paddleseg.errors import UserError
from paddleseg.models.layers import ConvBN, ConvBNReLU
from paddleseg.quantization.fake_layers import ActivationRange, FakeQuantizedConv2D, ranges
from paddleseg.quantization.fake_quantize import fake_quantize_activation, fake_quantize_weight

RELU = (0.0, math.inf)


def images(seed=0, size=(2, 4, 9, 7)):
    return paddle.to_tensor(np.random.default_rng(seed).normal(size=size).astype("float32"))


def randomized(model):
    """Return a model in eval mode whose batch norms do something."""
    rng = np.random.default_rng(5)
    for layer in model.sublayers(include_self=True):
        if isinstance(layer, nn.BatchNorm2D):
            for tensor, low, high in (
                *((layer.weight, 0.5, 2.0), (layer.bias, -1, 1)),
                *((layer._mean, -1, 1), (layer._variance, 0.3, 3)),
            ):
                tensor.set_value(rng.uniform(low, high, tensor.shape).astype("float32"))
    model.eval()
    return model


def calibrated(model, x):
    for layer in ranges(model):
        layer.calibrating = True
    y = model(x)
    for layer in ranges(model):
        layer.calibrating = False
    return y


def test_a_range_grows_over_calibration_and_follows_the_batches_of_a_training():
    layer = ActivationRange()
    layer.eval()
    for seed in range(3):
        x = images(seed)
        np.testing.assert_array_equal(calibrated(nn.Sequential(layer), x).numpy(), x.numpy())
    all_images = np.stack([images(seed).numpy() for seed in range(3)])
    low, high = all_images.min(), all_images.max()
    assert (float(layer.low), float(layer.high)) == (low, high)
    layer(10 * images(7))
    assert (float(layer.low), float(layer.high)) == (low, high), "evaluation changes nothing"
    layer.train()
    x = 10 * images(7)
    y = layer(x)
    low, high = (0.99 * now + 0.01 * end for now, end in ((low, x.numpy().min()), (high, x.numpy().max())))
    np.testing.assert_allclose([float(layer.low), float(layer.high)], [low, high], rtol=1e-6)
    np.testing.assert_array_equal(y.numpy(), fake_quantize_activation(x, layer.low, layer.high).numpy())


def test_a_range_holds_0_and_keeps_its_limits():
    layer = ActivationRange((0.0, 6.0))
    layer.calibrating = True
    layer(100 * images())
    assert (float(layer.low), float(layer.high)) == (0, 6)
    positive = ActivationRange()
    positive.calibrating = True
    positive(1 + images().abs())
    assert float(positive.low) == 0


@pytest.mark.parametrize("engine", ["paddle", "onednn"])
@pytest.mark.parametrize(
    "block",
    [
        lambda: ConvBN(4, 6, 3),
        lambda: ConvBNReLU(4, 8, 3, stride=2, padding=2, dilation=2, groups=4, bias_attr=False),
        lambda: ConvBN(4, 6, 1),
    ],
)
def test_a_convolution_with_its_batch_norm(block, engine):
    paddle.seed(1)
    model = randomized(onednn.adopt(block()))
    onednn.use_engine(engine)
    x = images()
    limits = RELU if isinstance(model, ConvBNReLU) else (-math.inf, math.inf)
    expected, keys = model(x).numpy(), set(model.state_dict())
    FakeQuantizedConv2D.take(model._conv, model._batch_norm, None, True, limits)
    np.testing.assert_allclose(calibrated(model, x).numpy(), expected, atol=2e-5)
    added = {f"_conv.{place}_range.{end}" for place in ("input", "output") for end in ("low", "high")}
    assert set(model.state_dict()) == keys | added

    conv, norm = model._conv, model._batch_norm
    factor = norm.weight / paddle.sqrt(norm._variance + norm._epsilon)
    weight = conv.weight * factor.reshape([-1, 1, 1, 1])
    bias = norm.bias + ((0 if conv.bias is None else conv.bias) - norm._mean) * factor
    input_step = (conv.input_range.high - conv.input_range.low) / 255
    bias_step = input_step * weight.abs().max(axis=[1, 2, 3]) / 127
    weight, bias = fake_quantize_weight(weight), paddle.round(bias / bias_step) * bias_step
    rounded = fake_quantize_activation(x, conv.input_range.low, conv.input_range.high)
    y = nn.functional.conv2d(rounded, weight, bias, conv._stride, conv._padding, conv._dilation, conv._groups)
    y = fake_quantize_activation(y, conv.output_range.low, conv.output_range.high)
    ours, step = model(x).numpy(), float(conv.output_range.high - conv.output_range.low) / 255
    # The two sum in another order, so a value in the middle of two steps may go either way.
    np.testing.assert_allclose(ours, y.numpy(), atol=1.01 * step)
    assert (np.abs(ours - y.numpy()) > 1e-4 * step).mean() < 0.01


def test_training_reaches_the_weights_and_leaves_the_statistics():
    paddle.seed(2)
    model = randomized(ConvBNReLU(4, 6, 3))
    FakeQuantizedConv2D.take(model._conv, model._batch_norm, None, True, RELU)
    calibrated(model, images())
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    model.train()
    (model(images(3)) ** 2).mean().backward()
    trained = [model._conv.weight, model._conv.bias, model._batch_norm.weight, model._batch_norm.bias]
    assert all(float(tensor.grad.abs().sum()) > 0 for tensor in trained)
    changed = {
        key for key, value in model.state_dict().items() if not np.array_equal(value.numpy(), before[key])
    }
    assert changed == {
        "_conv.input_range.low",
        "_conv.input_range.high",
        "_conv.output_range.high",  # its low end stays at the ReLU's 0
    }


def test_a_frozen_batch_norm_gets_no_gradient():
    model = randomized(ConvBN(4, 6, 3))
    FakeQuantizedConv2D.take(model._conv, model._batch_norm, None, True, RELU)
    calibrated(model, images())
    for tensor in (model._conv.bias, model._batch_norm.weight, model._batch_norm.bias):
        tensor.stop_gradient = True
    model(images(3)).sum().backward()
    assert model._conv.weight.grad is not None
    assert model._batch_norm.bias.grad is None


@pytest.mark.parametrize("between", ["output of the convolution", "input of the norm"])
def test_a_tap_between_convolution_and_batch_norm(between):
    model = randomized(ConvBN(4, 6, 3))
    conv, norm = model._conv, model._batch_norm
    FakeQuantizedConv2D.take(conv, norm, None, True, RELU, "head.conv")
    norm.register_forward_post_hook(lambda layer, inputs, output: None)
    model(images())  # the output of the norm is there
    if between == "input of the norm":
        norm.register_forward_pre_hook(lambda layer, inputs: None)
    else:
        conv.register_forward_post_hook(lambda layer, inputs, output: None)
    with pytest.raises(UserError, match="a tap reads the output of the convolution 'head.conv'"):
        model(images())
