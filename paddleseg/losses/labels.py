"""Label maps: resized to the features, as masks, one-hot, and as the mean feature of each class."""

import paddle
import paddle.nn.functional as F

from paddleseg.errors import UserError
from paddleseg.losses.checks import check_label


def resize_label(label, size):
    """Return a label of N x H x W as N x h x w, each position taking the nearest.

    Position i of h takes position floor(i * H / h) of H, as `interpolate` of PyTorch and of Paddle does in
    mode "nearest" (Paddle with its default `align_corners=False`). The arithmetic is in whole numbers, so
    that rounding H / h cannot pick a neighbour.

    Args:
        label: N x H x W, of any type.
        size: (h, w), smaller or larger than H x W.
    """
    for axis, length in zip((1, 2), size):
        places = paddle.arange(length) * label.shape[axis] // length
        label = label.index_select(places, axis=axis)
    return label


def resize_label_like(features, label):
    """Return `label` at the size of `features`; see `resize_label`.

    Args:
        features: N x C x h x w, or N x C x ... for a label of exactly that size.
        label: N x H x W, int64, or N x ...

    Returns:
        N x h x w, int64; `label` itself where it has that size.

    Raises:
        UserError: `label` belongs to another number of samples, or has other axes.
    """
    shape = [features.shape[0], *features.shape[2:]]
    resizable = len(label.shape) == 3 and len(shape) == 3 and label.shape[0] == shape[0]
    if not resizable:
        check_label(features, label)
    return label if list(label.shape) == shape else resize_label(label, shape[1:])


def label_edges(label, ignore_index, radius=2):
    """Return the edges between the classes of a label: N x H x W, int64, 1 or 0.

    A pixel of a class is on an edge if the radius reaches a pixel that is not of its class, or the end of the
    image. An ignored pixel is on an edge if the radius reaches a pixel of a class. PaddleSeg's data sets add
    the same edges to a sample under `edge: True`.

    Args:
        label: N x H x W, int64.
        ignore_index: the label of pixels that are left out.
        radius: the largest distance between the centres of two pixels, in pixels. Default 2.
    """
    height, width = label.shape[1:]
    padded = F.pad(label.unsqueeze(1), [radius] * 4, value=ignore_index).squeeze(1)
    span = range(-radius, radius + 1)
    edges = paddle.zeros(label.shape, "bool")
    for dy, dx in ((dy, dx) for dy in span for dx in span if 0 < dy * dy + dx * dx <= radius * radius):
        top, left = radius + dy, radius + dx
        edges |= padded[:, top : top + height, left : left + width] != label
    return edges.astype("int64")


def valid_mask(features, label, ignore_index):
    """Return N x h x w of the dtype of `features`: 1, and 0 where `label` is `ignore_index`.

    Args:
        features: N x C x h x w, or N x C x ...
        label: N x H x W, int64, of any size; None if every pixel is valid.
        ignore_index: the label of pixels that are left out.
    """
    if label is None:
        return paddle.ones([features.shape[0], *features.shape[2:]], dtype=features.dtype)
    return (resize_label_like(features, label) != ignore_index).astype(features.dtype)


def outside_classes_error(label, classes, ignore_index):
    """Return the `UserError` for a label, N x ..., with values beyond 0..`classes` - 1."""
    values = paddle.masked_select(label, label != ignore_index)
    return UserError(
        f"label holds classes from {int(values.min())} to {int(values.max())}, but the model has"
        f" {classes}, counted from 0: num_classes or ignore_index ({ignore_index}) is wrong"
    )


def valid_and_one_hot(label, classes, ignore_index, dtype):
    """Return which pixels of a label are valid, and the class of each of them.

    Args:
        label: N x ..., int64, of 0..`classes` - 1 or `ignore_index`.
        dtype: of both results.

    Returns:
        valid: N x 1 x ..., 1 where the label is not `ignore_index`, else 0.
        one_hot: N x C x ..., 1 in the channel of the label's class; 0 throughout where it is ignored.

    Raises:
        UserError: a label is outside the classes, on a CPU. On a GPU, where reading it would stall the
            device, such a pixel belongs to no class.
    """
    label = label.unsqueeze(1)
    valid = label != ignore_index
    if label.place.is_cpu_place():
        outside = paddle.logical_and(valid, paddle.logical_or(label < 0, label >= classes))
        if bool(outside.any()):
            raise outside_classes_error(label, classes, ignore_index)
    channels = paddle.arange(classes, dtype=label.dtype).reshape([1, classes] + [1] * (label.ndim - 2))
    one_hot = paddle.logical_and(label == channels, valid)
    return valid.astype(dtype), one_hot.astype(dtype)


def class_members(label, num_classes, ignore_index, dtype):
    """Return N x K x L: 1 where pixel l of sample n is of class k, else 0.

    Args:
        label: N x H x W, int64; L = H * W. Pixels of `ignore_index`, and of no class, belong to none.
        num_classes: K.
        ignore_index: the label of pixels that are left out; it may be one of the classes.
        dtype: of the result, floating.
    """
    label = label.flatten(start_axis=1)
    known = (label >= 0) & (label < num_classes) & (label != ignore_index)
    # An extra class collects the other pixels, and is cut off.
    label = paddle.where(known, label, paddle.full_like(label, num_classes))
    members = F.one_hot(label, num_classes + 1)[:, :, :num_classes]
    return members.transpose([0, 2, 1]).astype(dtype)


def class_means(features, members):
    """Return N x K x C, the mean feature of each class of each sample; 0 for a class that is absent.

    Args:
        features: N x C x L, floating.
        members: N x K x L, as `class_members` returns it, of the same dtype.
    """
    count = members.sum(axis=2, keepdim=True)
    return paddle.matmul(members, features, transpose_y=True) / count.clip(min=1)
