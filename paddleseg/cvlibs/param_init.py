"""Fill a parameter in place with initial values, by the names of PaddleSeg's functions."""

import math

import paddle.nn as nn


def _by(initializer):
    """Return a function that fills a parameter by an initializer of Paddle, built with `kwargs`."""

    def fill(param, **kwargs):
        initializer(**kwargs)(param)

    fill.__doc__ = f"Fill a parameter in place by `paddle.nn.initializer.{initializer.__name__}(**kwargs)`."
    return fill


uniform_init = _by(nn.initializer.Uniform)
constant_init = _by(nn.initializer.Constant)
normal_init = _by(nn.initializer.Normal)
kaiming_normal_init = _by(nn.initializer.KaimingNormal)
trunc_normal_init = _by(nn.initializer.TruncatedNormal)
kaiming_uniform = _by(nn.initializer.KaimingUniform)
xavier_uniform = _by(nn.initializer.XavierUniform)


def multihead_fill(layer, qkv_same_embed_dim=True):
    """Fill the weights of a `paddle.nn.MultiHeadAttention` in place as PyTorch does.

    Args:
        layer: the layer.
        qkv_same_embed_dim: whether queries, keys and values have the same size. Their weights then get the
            Xavier distribution of the three as one matrix.
    """
    if not qkv_same_embed_dim:
        for param in layer.parameters():
            if param.ndim > 1:
                xavier_uniform(param)
        return
    for projection in (layer.q_proj, layer.k_proj, layer.v_proj):
        fan_in, fan_out = projection.weight.shape
        bound = math.sqrt(6 / (fan_in + 3 * fan_out))
        uniform_init(projection.weight, low=-bound, high=bound)
    xavier_uniform(layer.out_proj.weight)


def th_linear_fill(layer):
    """Fill weight and bias of a `paddle.nn.Linear` in place as PyTorch does: up to 1 / sqrt(inputs)."""
    kaiming_uniform(layer.weight, negative_slope=math.sqrt(5), nonlinearity="leaky_relu")
    if getattr(layer, "bias", None) is not None:
        bound = 1 / math.sqrt(layer.weight.shape[0])
        uniform_init(layer.bias, low=-bound, high=bound)
