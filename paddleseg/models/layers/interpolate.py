"""`interpolate` as Paddle has it, with bilinear resizing on a CPU as two products of matrices."""

import functools

import numpy as np
import paddle
import paddle.nn.functional as F

from paddleseg import onednn

# Of the input's height and width. A longer axis makes the products slower than Paddle's loop.
LONGEST = 256


@paddle.jit.not_to_static
def interpolate(x, size, mode="bilinear", align_corners=False, data_format="NCHW"):
    """Return a resized map, as `paddle.nn.functional.interpolate` does.

    Bilinear resizing multiplies the columns by one matrix and the rows by another. Where maps grow, Paddle's
    loop on the CPU takes up to ten times as long, forward and backward (docs/speed.md). So with
    `conv_engine` onednn the products compute float32 maps that grow, on the CPU, in dynamic mode and outside
    autocast. Paddle computes all others. In a product, an infinite pixel makes its row and column NaN.

    Args:
        x: N x C x H x W.
        size: (H', W').
        mode, align_corners, data_format: as Paddle takes them.

    Returns:
        N x C x H' x W'.
    """
    if mode != "bilinear" or data_format != "NCHW" or not _by_products(x, size):
        return F.interpolate(x, size, mode=mode, align_corners=align_corners, data_format=data_format)
    rows, columns = (_weights(*axis, align_corners) for axis in zip(x.shape[2:], map(int, size)))
    return paddle.matmul(
        paddle.to_tensor(rows), paddle.matmul(x, paddle.to_tensor(columns), transpose_y=True)
    )


def _by_products(x, size):
    if onednn.engine() != onednn.ONEDNN or not paddle.in_dynamic_mode() or len(x.shape) != 4:
        return False
    grows = len(size) == 2 and all(after >= before for before, after in zip(x.shape[2:], size))
    return grows and max(x.shape[2:]) <= LONGEST and onednn.are_plain(x)


@functools.lru_cache(maxsize=64)
def _weights(length, resized, align_corners):
    """Return float32 `resized` x `length`: how much of each number of an axis a resized number takes."""
    places = np.arange(resized, dtype=np.float64)
    if align_corners:
        places *= (length - 1) / max(resized - 1, 1)
    else:
        places = ((places + 0.5) * length / resized - 0.5).clip(min=0)
    low = np.minimum(places.astype(int), length - 1)
    weights, each = np.zeros((resized, length)), np.arange(resized)
    weights[each, low] = 1 - (places - low)
    weights[each, np.minimum(low + 1, length - 1)] += places - low
    return weights.astype(np.float32)
