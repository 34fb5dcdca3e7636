"""`ConvBN` does not add the convolution's bias, and everything stays the same."""

import contextlib
import types

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.models.layers import ConvBN, conv

RNG = np.random.default_rng(8)
IMAGES = RNG.normal(size=[2, 8, 9, 9]).astype("float32")
TARGET = RNG.normal(size=[2, 8, 1, 1]).astype("float32")


def parts(layer):
    """Return the convolution and the batch norm of a `ConvBN`."""
    return list(layer.children())


class Plain(ConvBN):
    """The two layers one after the other."""

    def forward(self, x):
        convolution, norm = parts(self)
        return norm(convolution(x))


def build(block, **options):
    paddle.seed(3)
    layer = block(8, 8, 3, **options)
    for part in parts(layer):
        part.bias.set_value(paddle.randn([8]))
    return layer


def train(block, optimizer="Momentum", **options):
    """Return a layer's outputs in training and evaluation, the input's gradient and the layer's state."""
    layer = build(block, **options)
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
    "options", [{}, {"groups": 8}, {"stride": 2, "padding": 1}, {"dilation": 3, "padding": 3}]
)
def test_training_equals_that_of_the_two_layers(options):
    expected, actual = train(Plain, **options), train(ConvBN, **options)
    assert list(expected) == list(actual)
    for key, value in expected.items():
        np.testing.assert_allclose(actual[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_add_bias_gives_the_bits_of_the_two_layers():
    expected, actual = train(Plain), train(ConvBN, add_bias=True)
    for key, value in expected.items():
        np.testing.assert_array_equal(actual[key], value, err_msg=key)


def test_the_bias_is_decayed():
    layer = build(ConvBN)
    bias = parts(layer)[0].bias
    before = bias.numpy()
    sgd = paddle.optimizer.SGD(0.5, parameters=layer.parameters(), weight_decay=0.1)
    layer(paddle.to_tensor(IMAGES)).square().sum().backward()
    np.testing.assert_array_equal(bias.grad.numpy(), np.zeros(8))
    sgd.step()
    np.testing.assert_allclose(bias.numpy(), 0.95 * before, rtol=1e-6)


def test_two_passes_before_one_backward():
    results = []
    for block in (Plain, ConvBN):
        layer = build(block)
        x = paddle.to_tensor(IMAGES)
        (layer(x).sum(axis=1) * layer(layer(x)).mean(axis=1)).mean().backward()
        state = layer.state_dict()
        results.append([parts(layer)[0].weight.grad.numpy(), state["_batch_norm._mean"].numpy()])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("dtype", "times"), [("float16", 2), ("float32", 0)])
def test_sums_of_statistics_and_biases_leave_autocast_only_beside_a_map_of_16_bits(monkeypatch, dtype, times):
    entered = []
    monkeypatch.setattr(
        paddle.amp, "auto_cast", lambda **options: entered.append(options) or contextlib.nullcontext()
    )
    monkeypatch.setattr(conv.onednn, "conv2d", lambda x, *_: x.astype(dtype))
    monkeypatch.setattr(conv, "F", types.SimpleNamespace(batch_norm=lambda x, *_, **__: x))
    build(ConvBN)(paddle.to_tensor(IMAGES))
    assert entered == [{"enable": False}] * times


@pytest.mark.parametrize("index", [0, 1])
def test_hooks_see_the_two_layers(index):
    layer, x, seen = build(ConvBN), paddle.to_tensor(IMAGES), []
    parts(layer)[index].register_forward_post_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    layer(x)
    ((before, after),) = seen
    convolution, norm = parts(build(ConvBN))
    expected = (x, convolution(x)) if index == 0 else (convolution(x), norm(convolution(x)))
    for actual, array in zip((before, after), expected):
        np.testing.assert_allclose(actual.numpy(), array.numpy(), rtol=1e-5, atol=1e-5)


def test_the_bias_has_a_gradient_with_frozen_statistics():
    layer = build(ConvBN)
    convolution, norm = parts(layer)
    norm.eval()
    layer(paddle.to_tensor(IMAGES)).sum().backward()
    assert np.abs(convolution.bias.grad.numpy()).min() > 0


def test_another_norm_gets_the_map_with_the_bias():
    class Recording(nn.BatchNorm2D):
        def forward(self, x):
            self.input = x
            return super().forward(x)

    layer, x = build(ConvBN), paddle.to_tensor(IMAGES)
    convolution, _ = parts(layer)
    norm = Recording(8)
    layer.add_sublayer("_batch_norm", norm)
    layer(x)
    np.testing.assert_array_equal(norm.input.numpy(), convolution(x).numpy())


def test_a_convolution_without_bias_is_called():
    layer, plain = (build_without_bias(block) for block in (ConvBN, Plain))
    np.testing.assert_array_equal(
        layer(paddle.to_tensor(IMAGES)).numpy(), plain(paddle.to_tensor(IMAGES)).numpy()
    )


def build_without_bias(block):
    paddle.seed(3)
    return block(8, 8, 3, bias_attr=False)


def test_an_export_keeps_the_two_layers():
    layer = build(ConvBN)
    layer.eval()
    traced = paddle.jit.to_static(
        layer, input_spec=[paddle.static.InputSpec([None, 8, 9, 9])], full_graph=True
    )
    seen = []
    parts(layer)[0].register_forward_post_hook(lambda *_: seen.append(1))
    with paddle.no_grad():
        traced(paddle.to_tensor(IMAGES))
    assert seen
