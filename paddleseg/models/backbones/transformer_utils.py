"""Small parts of transformer backbones, by the names under which PaddleSeg's model files import them."""

import paddle
import paddle.nn as nn
from paddle.nn import initializer

__all__ = [
    "DropPath",
    "Identity",
    "drop_path",
    "init_weights",
    "ones_",
    "to_2tuple",
    "trunc_normal_",
    "zeros_",
]

Identity = nn.Identity
# Each is called with the parameter that it fills in place.
trunc_normal_ = initializer.TruncatedNormal(std=0.02)
zeros_ = initializer.Constant(0.0)
ones_ = initializer.Constant(1.0)


def to_2tuple(x):
    """Return (x, x)."""
    return (x, x)


def drop_path(x, drop_prob=0.0, training=False):
    """Set whole samples of a batch to zero at random, and scale the others by 1 / (1 - drop_prob).

    It is the stochastic depth of Huang et al., "Deep Networks with Stochastic Depth",
    https://arxiv.org/abs/1603.09382, for the branch of a residual block. The expected value stays the same.

    Args:
        x: a tensor whose first axis is that of the samples.
        drop_prob: the probability that a sample is set to zero, below 1. Default 0.
        training: without it, `x` is returned. Default False.
    """
    if not drop_prob or not training:
        return x
    kept = 1 - drop_prob
    shape = [x.shape[0]] + [1] * (x.ndim - 1)
    return x / kept * paddle.bernoulli(paddle.full(shape, kept)).astype(x.dtype)


class DropPath(nn.Layer):
    """`drop_path` as a layer, which does nothing in evaluation mode.

    Args:
        drop_prob: the probability that a sample is set to zero; None, the default, for 0.
    """

    def __init__(self, drop_prob=None):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return drop_path(x, self.drop_prob, self.training)


def init_weights(layer):
    """Initialise a layer in place as transformers do, for `Layer.apply`.

    The weights of `Linear` get a truncated normal distribution with a standard deviation of 0.02, those of
    `LayerNorm` get 1, and the biases of both get 0. Other layers stay as they are.
    """
    if isinstance(layer, nn.Linear):
        trunc_normal_(layer.weight)
    elif isinstance(layer, nn.LayerNorm):
        ones_(layer.weight)
    else:
        return
    if layer.bias is not None:
        zeros_(layer.bias)
