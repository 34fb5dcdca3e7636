"""Label maps beside feature maps: at the features' size, as masks, as class means."""

import paddle
import paddle.nn.functional as F

from paddleseg.errors import UserError
from paddleseg.losses.common import check_label


def label_at(features, label):
    """Return `label` at the size of `features`; see `resize_label`.

    Args:
        features: N x C x h x w (or N x C x any axes, for a label of just their size).
        label: N x H x W, int64.

    Returns:
        N x h x w, int64; `label` itself where it has that size.

    Raises:
        UserError: `label` belongs to another number of samples, or has other axes.
    """
    wanted = [features.shape[0], *features.shape[2:]]
    resizable = len(label.shape) == 3 and len(wanted) == 3 and label.shape[0] == wanted[0]
    if not resizable:
        check_label(features, label)
    return label if list(label.shape) == wanted else resize_label(label, wanted[1:])


def resize_label(label, size):
    """Return a label of N x H x W as N x h x w, each position taking the nearest.

    Position i of h takes position floor(i * H / h) of H, as PyTorch's and Paddle's `interpolate` do in
    their mode "nearest" (Paddle with its default `align_corners=False`); in whole numbers, so that no
    rounding of H / h picks a neighbour instead.

    Args:
        label: N x H x W, of any type.
        size: (h, w), smaller or larger than H x W.
    """
    for axis, wanted in zip((1, 2), size):
        places = paddle.arange(wanted) * label.shape[axis] // wanted
        label = label.index_select(places, axis=axis)
    return label


def kept_pixels(features, label, ignore_index):
    """Return N x h x w of the dtype of `features`: 1, and 0 where `label` is `ignore_index`.

    Args:
        features: N x C x h x w (or N x C x any axes).
        label: N x H x W, int64, of any size; None keeps every pixel.
        ignore_index: the label of pixels that are left out.
    """
    if label is None:
        return paddle.ones([features.shape[0], *features.shape[2:]], dtype=features.dtype)
    return (label_at(features, label) != ignore_index).astype(features.dtype)


def require_label(loss, label):
    """Raise `UserError` where a loss that compares classes is given no label."""
    if label is None:
        raise UserError(f"{loss} compares pixels by their class and needs the label map, but got none")


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
    # One class more than there are collects the rest, and is cut off.
    label = paddle.where(known, label, paddle.full_like(label, num_classes))
    members = F.one_hot(label, num_classes + 1)[:, :, :num_classes]
    return members.transpose([0, 2, 1]).astype(dtype)


def class_means(features, members):
    """Return N x K x C, the mean feature of each class of each sample; 0 for a class that is absent.

    Args:
        features: N x C x L, floating.
        members: N x K x L, as `class_members` gives it, of the same dtype.
    """
    count = members.sum(axis=2, keepdim=True)
    return paddle.matmul(members, features, transpose_y=True) / count.clip(min=1)
