"""Parts of transformers: stochastic depth, initial weights, and the names that PaddleSeg's files import."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.models.backbones.transformer_utils import (
    DropPath,
    Identity,
    drop_path,
    init_weights,
    ones_,
    to_2tuple,
    zeros_,
)


def test_to_2tuple():
    assert to_2tuple(7) == (7, 7)


def test_drop_path_keeps_or_drops_whole_samples_and_their_expected_value():
    paddle.seed(0)
    x = paddle.rand([2000, 3, 2]) + 1
    y = drop_path(x, 0.25, training=True).numpy()
    factors = y / x.numpy()
    per_sample = factors[:, :1, :1]
    np.testing.assert_allclose(factors, np.broadcast_to(per_sample, factors.shape), rtol=1e-5)
    assert {round(float(f), 4) for f in per_sample.ravel()} == {0.0, round(1 / 0.75, 4)}
    assert (per_sample == 0).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("drop_prob", [None, 0.0, 0.9])
def test_drop_path_does_nothing_in_evaluation(drop_prob):
    layer, x = DropPath(drop_prob), paddle.rand([4, 3])
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())


@pytest.mark.parametrize("drop_prob", [None, 0.0])
def test_without_a_probability_nothing_is_dropped(drop_prob):
    x = paddle.rand([4, 3])
    np.testing.assert_array_equal(DropPath(drop_prob)(x).numpy(), x.numpy())


def test_drop_path_keeps_the_type():
    assert drop_path(paddle.ones([4, 2], "float64"), 0.5, training=True).dtype == paddle.float64


def test_initial_weights():
    paddle.seed(0)
    net = nn.Sequential(
        nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 4, bias_attr=False), nn.Conv2D(1, 1, 1)
    )
    for parameter in net.parameters():
        ones_(parameter)
    net.apply(init_weights)
    weight = net[0].weight.numpy()
    # Depending on its version, Paddle cuts the distribution off at two standard deviations, which leaves
    # 0.88 of the standard deviation, or at the values -2 and 2.
    assert 0.02 * 0.85 < weight.std() < 0.02 * 1.05
    assert abs(weight.mean()) < 0.001
    assert not net[0].bias.numpy().any()
    assert not net[1].bias.numpy().any()
    assert (net[1].weight.numpy() == 1).all()
    assert (net[3].weight.numpy() == 1).all()  # not a layer of transformers


def test_the_constants_and_identity():
    layer = nn.Linear(2, 2)
    zeros_(layer.weight)
    assert not layer.weight.numpy().any()
    x = paddle.rand([2, 2])
    assert Identity()(x) is x
