"""The bias before a batch norm is not added, and everything comes to the same."""

import contextlib

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.models.layers import ConvBN, conv

RNG = np.random.default_rng(8)
IMAGES = RNG.normal(size=[2, 8, 9, 9]).astype("float32")
TARGET = RNG.normal(size=[2, 8, 1, 1]).astype("float32")


class Plain(ConvBN):
    """The two layers one after the other."""

    def forward(self, x):
        return self._batch_norm(self._conv(x))


def made(block, **given):
    paddle.seed(3)
    layer = block(8, 8, 3, **given)
    layer._conv.bias.set_value(paddle.randn([8]))
    layer._batch_norm.bias.set_value(paddle.randn([8]))
    return layer


def trained(block, optimizer="Momentum", **given):
    """Return a layer's outputs in training and evaluation, the input's gradient and the layer's state."""
    layer = made(block, **given)
    decayed = getattr(paddle.optimizer, optimizer)(0.1, parameters=layer.parameters(), weight_decay=0.1)
    x = paddle.to_tensor(IMAGES, stop_gradient=False)
    for _ in range(3):
        y = layer(x)
        ((y - paddle.to_tensor(TARGET)) ** 3).mean().backward()
        decayed.step()
        decayed.clear_grad()
    layer.eval()
    with paddle.no_grad():
        evaluated = layer(x)
    state = {key: value.numpy() for key, value in layer.state_dict().items()}
    return {"train": y.numpy(), "eval": evaluated.numpy(), "gradient": x.grad.numpy(), **state}


@pytest.mark.parametrize(
    "given", [{}, {"groups": 8}, {"stride": 2, "padding": 1}, {"dilation": 3, "padding": 3}]
)
def test_it_comes_to_the_same_as_with_the_bias(given):
    expected, got = trained(Plain, **given), trained(ConvBN, **given)
    assert list(expected) == list(got)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_the_bias_is_decayed_as_ever():
    layer = made(ConvBN)
    before = layer._conv.bias.numpy()
    sgd = paddle.optimizer.SGD(0.5, parameters=layer.parameters(), weight_decay=0.1)
    layer(paddle.to_tensor(IMAGES)).square().sum().backward()
    np.testing.assert_array_equal(layer._conv.bias.grad.numpy(), np.zeros(8))
    sgd.step()
    np.testing.assert_allclose(layer._conv.bias.numpy(), 0.95 * before, rtol=1e-6)


def test_two_passes_before_one_backward():
    results = []
    for block in (Plain, ConvBN):
        layer = made(block)
        x = paddle.to_tensor(IMAGES)
        (layer(x).sum(axis=1) * layer(layer(x)).mean(axis=1)).mean().backward()
        results.append([layer._conv.weight.grad.numpy(), layer._batch_norm._mean.numpy()])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("dtype", "times"), [("float16", 2), ("float32", 0)])
def test_beside_a_map_of_16_bits_the_sums_of_statistics_and_biases_stay_out_of_autocast(
    monkeypatch, dtype, times
):
    asked = []
    monkeypatch.setattr(
        paddle.amp, "auto_cast", lambda **given: asked.append(given) or contextlib.nullcontext()
    )
    monkeypatch.setattr(conv.F, "conv2d", lambda x, *_: x.astype(dtype))
    monkeypatch.setattr(conv.F, "batch_norm", lambda x, *_, **__: x)
    made(ConvBN)(paddle.to_tensor(IMAGES))
    assert asked == [{"enable": False}] * times


def not_added(layer):
    return conv._bias_cancels(layer._conv, layer._batch_norm)


def test_the_bias_is_added_wherever_it_is_seen():
    layer = made(ConvBN)
    assert not_added(layer)
    for sublayer in (layer._conv, layer._batch_norm):
        hook = sublayer.register_forward_post_hook(lambda *_: None)
        assert not not_added(layer)
        hook.remove()
    layer._batch_norm.eval()  # frozen statistics: the bias has a gradient
    assert not not_added(layer)
    with paddle.no_grad():
        assert not_added(layer)
    layer._batch_norm = nn.SyncBatchNorm(8)
    assert not not_added(layer)
    assert not not_added(ConvBN(8, 8, 3, bias_attr=False))


def test_an_export_keeps_the_two_layers():
    layer = made(ConvBN)
    layer.eval()
    traced = paddle.jit.to_static(
        layer, input_spec=[paddle.static.InputSpec([None, 8, 9, 9])], full_graph=True
    )
    seen = []
    layer._conv.register_forward_post_hook(lambda *_: seen.append(1))
    with paddle.no_grad():
        traced(paddle.to_tensor(IMAGES))
    assert seen
