"""Replacements for operations that paddle2onnx refuses or converts wrongly."""

import contextlib

import paddle
import paddle.nn.functional as F


@contextlib.contextmanager
def convertible():
    """Within this context, graphs are traced with replacements for two of Paddle's functions:

    - `F.adaptive_avg_pool2d` becomes `pooled`. ONNX has no such operation for more than one bin. paddle2onnx
      takes an AveragePool, whose windows all have one size, and gives up if the input's size is free.
    - `F.leaky_relu` becomes `leaky`. paddle2onnx 2.1.0 loses the slope.

    The functions are replaced in their module, since Paddle's layers, `F.interpolate` with mode "area" and
    users' models call them there. Calls outside a graph run Paddle's own functions.
    """
    originals = {name: getattr(F, name) for name in _REPLACEMENTS}
    try:
        for name, replacement in _REPLACEMENTS.items():
            setattr(F, name, _in_graphs(replacement, originals[name]))
        yield
    finally:
        for name, original in originals.items():
            setattr(F, name, original)


def _in_graphs(replacement, original):
    """Return a function that calls `original`, but in a graph `replacement(original, ...)`."""

    @paddle.jit.not_to_static
    def function(*args, **kwargs):
        if paddle.in_dynamic_mode():
            return original(*args, **kwargs)
        return replacement(original, *args, **kwargs)

    return function


def _adaptive_avg_pool2d(original, x, output_size, data_format="NCHW", name=None):
    bins = output_size if _is_pair(output_size) else (output_size, output_size)
    # One bin is ONNX's GlobalAveragePool.
    if data_format != "NCHW" or all(isinstance(number, int) and number == 1 for number in bins):
        return original(x, output_size, data_format, name)
    return pooled(x, bins)


def _leaky_relu(original, x, negative_slope=0.01, name=None):
    return leaky(x, negative_slope)


_REPLACEMENTS = {"adaptive_avg_pool2d": _adaptive_avg_pool2d, "leaky_relu": _leaky_relu}


def _is_pair(size):
    # Two sizes may also be one tensor, which in a graph is not a `paddle.Tensor`.
    return isinstance(size, (list, tuple)) or getattr(size, "ndim", 0) == 1


def pooled(x, bins):
    """Return the means over bins[0] x bins[1] regions of a map, as `F.adaptive_avg_pool2d` defines them.

    The regions are rectangles, so their means are two matrix products: one over columns, one over rows. Both
    matrices are computed from the map's height and width, so any size works.

    Args:
        x: N x C x H x W, float32 or float64.
        bins: two whole numbers or scalar tensors; None stands for the map's own height or width.
    """
    height, width = paddle.shape(x)[2], paddle.shape(x)[3]
    rows = _weights(height, height if bins[0] is None else bins[0], x.dtype)
    columns = _weights(width, width if bins[1] is None else bins[1], x.dtype)
    return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


def _weights(length, bins, dtype):
    """Return the matrix, bins x length, whose row i averages the positions of bin i.

    They are floor(i length / bins) to ceil((i + 1) length / bins) - 1. The comparisons below are multiplied
    out, since the converter divides whole numbers as floats.
    """
    position = paddle.arange(length, dtype="int64").unsqueeze(0) * bins
    edge = paddle.arange(bins, dtype="int64").unsqueeze(1) * length
    inside = ((position + bins > edge) & (position < edge + length)).astype(dtype)
    return inside / inside.sum(axis=1, keepdim=True)


def leaky(x, slope):
    """Return x where it is positive and `slope` times x elsewhere, in the shape of x."""
    return F.relu(x) - slope * F.relu(-x)
