"""Boundary IoU: the IoU of the pixels near a class's contour (Cheng et al. 2021, https://arxiv.org/abs/2103.16562)."""

import math

import paddle
import paddle.nn.functional as F

DILATION_RATIO = 0.02


def boundary_areas(pred, label, num_classes, ignore_index=255):
    """Return the overlap and the union of the boundaries of prediction and truth, for each class.

    The boundary of a class is its pixels within a Chebyshev distance d of other classes or of the image's
    border, that is the pixels that d erosions by a 3 x 3 square take away. d is 2 % of the image's diagonal,
    rounded, and at least 1 pixel. Ignored pixels belong to no class in prediction and truth, so both have a
    contour along them. Areas of batches and ranks add up. Does not wait for the device.

    Args:
        pred: predicted classes, integers N x H x W.
        label: true classes, integers N x H x W, in 0..C-1 or `ignore_index`.
        num_classes: C.
        ignore_index: the label of pixels that are not counted. Default 255.

    Returns:
        C x 2 int64 tensor: intersection and union of each class, in pixels.
    """
    height, width = label.shape[1:]
    distance = max(round(DILATION_RATIO * math.hypot(height, width)), 1)
    counted = label != ignore_index
    areas = []
    for c in range(num_classes):  # one at a time, to save memory
        both = paddle.stack([paddle.logical_and(mask == c, counted) for mask in (pred, label)], axis=1)
        near = _boundary(both.astype("int32"), distance)
        overlap = near.min(axis=1).sum(dtype="int64")
        areas.append(paddle.stack([overlap, near.max(axis=1).sum(dtype="int64")]))
    return paddle.stack(areas)


def _boundary(masks, distance):
    """Return the boundary pixels of masks (int32 N x 2 x H x W of 0 and 1), as such a mask."""
    window = 2 * distance + 1
    # A pixel is no boundary if the window around it is full. The sum over a window is a difference of running
    # sums, which costs the same for windows of any size.
    sums = F.pad(masks, [distance + 1, distance, distance + 1, distance])
    for axis in (2, 3):
        sums = paddle.cumsum(sums, axis=axis)
        length = sums.shape[axis]
        after = paddle.slice(sums, [axis], [window], [length])
        sums = after - paddle.slice(sums, [axis], [0], [length - window])
    return masks * (sums < window * window).astype("int32")
