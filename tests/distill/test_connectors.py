"""Connectors against their formulas in NumPy."""

import numpy as np
import paddle
import pytest

from paddleseg.distill.connectors import ConvBNConnector, ConvConnector, MLPConnector
from paddleseg.errors import UserError

X = np.random.default_rng(2).standard_normal((2, 3, 4, 5)).astype("float32")


def convolved(x, conv):
    """Return a 1 x 1 convolution of NumPy arrays in float64."""
    weight = conv.weight.numpy().astype("float64")[:, :, 0, 0]
    out = np.einsum("oc,nchw->nohw", weight, x)
    return out if conv.bias is None else out + conv.bias.numpy()[None, :, None, None]


@pytest.mark.parametrize("kind", [ConvConnector, ConvBNConnector, MLPConnector])
@pytest.mark.parametrize("channels", [(3, 7), (3, 1)])
def test_every_connector_changes_the_channels_alone(kind, channels):
    connector = kind(*channels)
    assert connector(paddle.to_tensor(X)).shape == [2, channels[1], 4, 5]
    assert connector.state_dict()


@pytest.mark.parametrize("kind", [ConvConnector, ConvBNConnector])
@pytest.mark.parametrize("size", [1, 3])
def test_a_wider_kernel_keeps_height_and_width(kind, size):
    connector = kind(3, 4, kernel_size=size)
    assert connector.conv.weight.shape == [4, 3, size, size]
    assert connector(paddle.to_tensor(X)).shape == [2, 4, 4, 5]


@pytest.mark.parametrize("size", [0, 2, -1])
def test_an_even_kernel_is_refused(size):
    with pytest.raises(UserError, match="kernel_size must be odd"):
        ConvConnector(3, 4, kernel_size=size)


def test_a_convolution_is_linear_with_a_bias():
    connector = ConvConnector(3, 4)
    connector.conv.bias.set_value(paddle.arange(4, dtype="float32"))
    got = connector(paddle.to_tensor(X)).numpy()
    np.testing.assert_allclose(got, convolved(X, connector.conv), rtol=1e-5, atol=1e-5)


def test_batch_norm_has_no_relu_behind_it():
    connector = ConvBNConnector(3, 4)
    y = convolved(X, connector.conv)
    mean, var = (f(y, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    got = connector(paddle.to_tensor(X)).numpy()
    np.testing.assert_allclose(got, (y - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-4)
    assert (got < 0).any()


def test_an_mlp_has_a_relu_between():
    connector = MLPConnector(3, 4, hidden_channels=6)
    hidden = np.maximum(convolved(X, connector.first), 0)
    got = connector(paddle.to_tensor(X)).numpy()
    np.testing.assert_allclose(got, convolved(hidden, connector.second), rtol=1e-5, atol=1e-5)
    assert MLPConnector(3, 4).first.weight.shape[0] == 4
    with pytest.raises(UserError, match="hidden_channels must be 1 or more, not 0"):
        MLPConnector(3, 4, hidden_channels=0)
