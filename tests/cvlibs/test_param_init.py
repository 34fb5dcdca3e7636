"""Each function fills a parameter in place with the distribution of its name."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.cvlibs import param_init


@pytest.fixture
def weight():
    paddle.seed(0)
    layer = nn.Linear(200, 100)
    return layer.weight


def test_constant(weight):
    param_init.constant_init(weight, value=2.0)
    assert (weight.numpy() == 2).all()


def test_uniform(weight):
    param_init.uniform_init(weight, low=0.5, high=1.5)
    values = weight.numpy()
    assert 0.5 <= values.min() < 0.51
    assert 1.49 < values.max() <= 1.5


@pytest.mark.parametrize("fill", [param_init.normal_init, param_init.trunc_normal_init])
def test_normal(weight, fill):
    fill(weight, mean=1.0, std=0.02)
    assert weight.numpy().mean() == pytest.approx(1, abs=1e-3)
    assert 0.017 < weight.numpy().std() < 0.021


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (param_init.kaiming_normal_init, (2 / 200) ** 0.5),
        (param_init.kaiming_uniform, (2 / 200) ** 0.5),
        (param_init.xavier_uniform, (2 / 300) ** 0.5),
    ],
)
def test_distributions_that_depend_on_the_size(weight, fill, std):
    fill(weight)
    assert weight.numpy().std() == pytest.approx(std, rel=0.03)


def test_a_linear_layer_as_pytorch_fills_it():
    paddle.seed(0)
    layer = nn.Linear(100, 400)
    param_init.th_linear_fill(layer)
    for parameter in layer.parameters():
        assert 0.095 < np.abs(parameter.numpy()).max() <= 0.1
    param_init.th_linear_fill(nn.Linear(4, 4, bias_attr=False))


def test_attention_as_pytorch_fills_it():
    paddle.seed(0)
    layer = nn.MultiHeadAttention(64, 4)
    param_init.multihead_fill(layer)
    of_three, of_one = (6 / (64 + 3 * 64)) ** 0.5, (6 / (64 + 64)) ** 0.5
    assert np.abs(layer.q_proj.weight.numpy()).max() == pytest.approx(of_three, rel=0.01)
    assert np.abs(layer.out_proj.weight.numpy()).max() == pytest.approx(of_one, rel=0.01)
    param_init.multihead_fill(layer, qkv_same_embed_dim=False)
    assert np.abs(layer.q_proj.weight.numpy()).max() == pytest.approx(of_one, rel=0.01)
