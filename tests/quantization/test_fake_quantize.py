"""Fake quantisation against NumPy in float64, written from Jacob et al., https://arxiv.org/abs/1712.05877."""

import numpy as np
import paddle
import pytest

from paddleseg.quantization.fake_quantize import (
    fake_quantize_activation,
    fake_quantize_bias,
    fake_quantize_weight,
    weight_step,
)


def with_gradient(function, x):
    """Return a function's value at x, and the gradient of the sum of the value times 1, 2, 3, ..."""
    x = paddle.to_tensor(x, stop_gradient=False)
    y = function(x)
    factors = np.arange(1, y.size + 1, dtype="float32").reshape(y.shape)
    (y * paddle.to_tensor(factors)).sum().backward()
    return y.numpy(), x.grad.numpy() / factors


def affine(x, low, high):
    """Return the reference, and where it is not cut off."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    zero = np.round(-low / step)
    code = np.round(x / step) + zero
    inside = (x >= -zero * step) & (x <= (255 - zero) * step)
    return step * (np.clip(code, 0, 255) - zero), inside


@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.6), (0.0, 6.0), (-3.0, 0.0), (0.5, 4.0), (-4.0, -1.0)])
def test_activations(low, high):
    x = np.random.default_rng(0).normal(0, 2.5, (2, 3, 40, 5)).astype("float32")
    ends = [paddle.to_tensor([end], dtype="float32") for end in (low, high)]
    y, gradient = with_gradient(lambda tensor: fake_quantize_activation(tensor, *ends), x)
    expected, inside = affine(x.astype("float64"), low, high)
    np.testing.assert_allclose(y, expected, atol=2e-6)
    np.testing.assert_array_equal(gradient, inside)
    assert 0 < inside.sum() < inside.size
    assert len(np.unique(y)) <= 256


def test_fake_quantised_activations_stay_as_they_are():
    x = paddle.to_tensor(np.random.default_rng(1).normal(size=(1, 2, 8, 8)).astype("float32"))
    ends = paddle.to_tensor([-1.1]), paddle.to_tensor([2.3])
    once = fake_quantize_activation(x, *ends)
    np.testing.assert_array_equal(fake_quantize_activation(once, *ends).numpy(), once.numpy())
    assert float(fake_quantize_activation(paddle.zeros([1]), *ends)) == 0


def test_a_range_from_0_makes_a_relu():
    x = paddle.to_tensor(np.random.default_rng(2).normal(size=(1, 2, 8, 8)).astype("float32"))
    ends = paddle.zeros([1]), paddle.to_tensor([1.5])
    before = fake_quantize_activation(paddle.nn.functional.relu(x), *ends)
    np.testing.assert_array_equal(fake_quantize_activation(x, *ends).numpy(), before.numpy())


def test_weights():
    spread = np.array([1.0, 0.01, 5.0, 0.0]).reshape([4, 1, 1, 1])
    weight = (np.random.default_rng(3).normal(size=(4, 3, 3, 3)) * spread).astype("float32")
    y, gradient = with_gradient(fake_quantize_weight, weight)
    step = np.abs(weight.astype("float64")).max(axis=(1, 2, 3), keepdims=True) / 127
    expected = np.where(step > 0, np.round(weight / np.where(step > 0, step, 1)) * step, 0)
    np.testing.assert_allclose(y, expected, atol=1e-7)
    np.testing.assert_array_equal(gradient, np.ones_like(weight))


def test_biases():
    rng = np.random.default_rng(4)
    bias, weight = (rng.normal(size=size).astype("float32") for size in ([3], [3, 2, 1, 1]))
    steps = paddle.to_tensor([0.02]), weight_step(paddle.to_tensor(weight))
    y, gradient = with_gradient(lambda tensor: fake_quantize_bias(tensor, *steps), bias)
    step = 0.02 * np.abs(weight.astype("float64")).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(y, np.round(bias / step) * step, atol=1e-7)
    np.testing.assert_array_equal(gradient, np.ones(3))


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2's maximum drops a NaN")
def test_what_is_not_finite_shows():
    y = fake_quantize_activation(paddle.to_tensor([float("nan"), 1.0]), paddle.zeros([1]), paddle.ones([1]))
    assert np.isnan(y.numpy()).tolist() == [True, False]
