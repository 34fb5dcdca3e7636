"""Operations that paddle2onnx refuses or gets wrong, made of others that it gets right."""

import contextlib

import paddle
import paddle.nn.functional as F


@contextlib.contextmanager
def convertible():
    """While this holds, a graph that is traced has other operations where a model calls these functions:

    - `F.adaptive_avg_pool2d`: `pooled`. ONNX has none of several bins. paddle2onnx takes an AveragePool,
      whose windows all have one size, and gives up where the sizes of the input are free.
    - `F.leaky_relu`: `leaky`. paddle2onnx 2.1.0 loses the slope.

    Paddle's own layers and `F.interpolate` with mode "area" call these functions, and so may a user's model;
    hence they are exchanged under their names. Whatever is computed without a graph is computed as ever.
    """
    paddles = {name: getattr(F, name) for name in _EXCHANGED}
    try:
        for name, other in _EXCHANGED.items():
            setattr(F, name, _in_graphs(other, paddles[name]))
        yield
    finally:
        for name, function in paddles.items():
            setattr(F, name, function)


def _in_graphs(other, paddles):
    """Return a function that is Paddle's own, `paddles`, but in a graph `other`, which is given it first."""

    @paddle.jit.not_to_static
    def exchanged(*args, **kwargs):
        if paddle.in_dynamic_mode():
            return paddles(*args, **kwargs)
        return other(paddles, *args, **kwargs)

    return exchanged


def _adaptive_avg_pool2d(paddles, x, output_size, data_format="NCHW", name=None):
    bins = output_size if _is_pair(output_size) else (output_size, output_size)
    # One bin is ONNX's GlobalAveragePool.
    if data_format != "NCHW" or all(isinstance(number, int) and number == 1 for number in bins):
        return paddles(x, output_size, data_format, name)
    return pooled(x, bins)


def _leaky_relu(paddles, x, negative_slope=0.01, name=None):
    return leaky(x, negative_slope)


_EXCHANGED = {"adaptive_avg_pool2d": _adaptive_avg_pool2d, "leaky_relu": _leaky_relu}


def _is_pair(size):
    # Two sizes may also be one tensor, which in a graph is no `paddle.Tensor`.
    return isinstance(size, (list, tuple)) or getattr(size, "ndim", 0) == 1


def pooled(x, bins):
    """Return the means over bins[0] x bins[1] regions of a map, as `F.adaptive_avg_pool2d` defines them.

    The regions are rectangles. So a mean is one over rows of means over columns: two products with matrices,
    which are computed from the map's height and width and thus serve any.

    Args:
        x: N x C x H x W, float32 or float64.
        bins: two numbers, whole ones or scalar tensors; None is as many as x has there.
    """
    height, width = paddle.shape(x)[2], paddle.shape(x)[3]
    rows = _weights(height, height if bins[0] is None else bins[0], x.dtype)
    columns = _weights(width, width if bins[1] is None else bins[1], x.dtype)
    return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


def _weights(length, bins, dtype):
    """Return the matrix, bins x length, whose row i averages the places of bin i.

    These are floor(i length / bins) to ceil((i + 1) length / bins) - 1. The comparisons are multiplied out:
    the converter divides whole numbers as floats.
    """
    place = paddle.arange(length, dtype="int64").unsqueeze(0) * bins
    edge = paddle.arange(bins, dtype="int64").unsqueeze(1) * length
    inside = ((place + bins > edge) & (place < edge + length)).astype(dtype)
    return inside / inside.sum(axis=1, keepdim=True)


def leaky(x, slope):
    """Return x where it is positive and `slope` times x elsewhere, in the shape of x."""
    return F.relu(x) - slope * F.relu(-x)
