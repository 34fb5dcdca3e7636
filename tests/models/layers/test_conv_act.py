"""Convolutions with other norms and activations equal NumPy."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
from numpy_layers import batch_norm, conv1x1, relu, sigmoid
from random_weights import randomized

from paddleseg.errors import UserError
from paddleseg.models.layers import Activation, ConvBNAct, ConvBNPReLU, ConvGNAct, ConvNormAct

X = np.random.default_rng(9).normal(size=[2, 4, 3, 5]).astype("float32")


def output(layer):
    return layer(paddle.to_tensor(X)).numpy()


def test_a_learned_slope():
    layer = randomized(ConvBNPReLU(4, 6, 1))
    slope = layer.state_dict()["_prelu.act_func._weight"].numpy()
    y = batch_norm(layer._batch_norm, conv1x1(layer._conv, X))
    np.testing.assert_allclose(output(layer), np.where(y > 0, y, slope * y), atol=1e-5)


@pytest.mark.parametrize(("act_type", "function"), [("sigmoid", sigmoid), (None, lambda y: y)])
def test_an_activation_by_name(act_type, function):
    layer = randomized(ConvBNAct(4, 6, 1, act_type=act_type, bias_attr=False))
    expected = function(batch_norm(layer._batch_norm, conv1x1(layer._conv, X)))
    np.testing.assert_allclose(output(layer), expected, atol=1e-5)


def test_a_norm_of_the_callers():
    layer = randomized(ConvNormAct(4, 6, 1, norm=nn.BatchNorm2D(6), act_type="relu"))
    expected = relu(batch_norm(layer._norm, conv1x1(layer._conv, X)))
    np.testing.assert_allclose(output(layer), expected, atol=1e-5)
    plain = randomized(ConvNormAct(4, 6, 1))
    np.testing.assert_allclose(output(plain), conv1x1(plain._conv, X), atol=1e-5)


def test_group_norm():
    layer = randomized(ConvGNAct(4, 6, 1, num_groups=2, act_type="relu"))
    y = conv1x1(layer._conv, X).reshape(2, 2, -1)
    y = (y - y.mean(axis=2, keepdims=True)) / np.sqrt(y.var(axis=2, keepdims=True) + 1e-5)
    norm = layer._group_norm
    scale, shift = (t.numpy().reshape(1, 6, 1, 1) for t in (norm.weight, norm.bias))
    expected = relu(y.reshape(2, 6, 3, 5) * scale + shift)
    np.testing.assert_allclose(output(layer), expected, atol=1e-5)


def test_an_unknown_activation_is_refused_with_the_nearest():
    assert isinstance(Activation("leakyrelu").act_func, nn.LeakyReLU)
    with pytest.raises(UserError, match="unknown activation 'rellu': did you mean 'relu'"):
        Activation("rellu")
