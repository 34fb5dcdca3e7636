"""Adaptive average pooling that every runtime has."""

import paddle
import paddle.nn as nn


class AdaptiveMeans(nn.AdaptiveAvgPool2D):
    """Paddle's adaptive average pooling to several regions, which in a static graph is two matrix products.

    ONNX has no such operation: converters make an average pooling of it, which takes sizes that are known and
    multiples of the number of regions. A region is a rectangle, so its mean is the mean over its rows of
    the means over its columns: rows @ x @ columns, as exact as the pooling. `--to_static_training` takes
    them, too.

    Args:
        regions: n for n x n regions.
    """

    def __init__(self, regions):
        super().__init__(regions)
        self.regions = regions

    def forward(self, x):
        if paddle.in_dynamic_mode():
            return super().forward(x)
        shape = paddle.shape(x)
        rows = means(shape[2], self.regions)
        columns = means(shape[3], self.regions)
        return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


def means(length, regions):
    """Return the float32 matrix, regions x length, that takes the means of a line's regions.

    Region i of n goes from floor(i * length / n) to below ceil((i + 1) * length / n), as Paddle's do.

    Args:
        length: a whole number, or a tensor of one.
        regions: n.
    """
    steps = paddle.arange(regions, dtype="int64").unsqueeze(1)
    starts = steps * length // regions
    ends = ((steps + 1) * length + regions - 1) // regions
    places = paddle.arange(0, length, dtype="int64").unsqueeze(0)
    inside = paddle.logical_and(places >= starts, places < ends).astype("float32")
    return inside / (ends - starts).astype("float32")
