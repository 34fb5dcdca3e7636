"""Lovasz-Softmax loss: a convex extension of the Jaccard index (IoU) of each class."""

from typing import Literal, Sequence, Union

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_label
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.labels import valid_and_one_hot


@full_precision
def lovasz_softmax_loss(logits, label, ignore_index=255, classes="present"):
    """Return the mean over classes of the Lovasz extension of one minus the IoU over the batch.

    Berman et al., "The Lovasz-Softmax Loss", CVPR 2018, https://arxiv.org/abs/1705.08790. For a class c,
    the error of a valid pixel is e = |y - softmax(logits)[c]|, where y is 1 if the label is c, else 0. With
    the errors sorted, the largest first,

        loss_c = sum_k e_k * (J_k - J_{k-1}),  J_0 = 0,
        J_k = 1 - (g - sum_{i<=k} y_i) / (g + sum_{i<=k} (1 - y_i)),  g = sum_i y_i

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        ignore_index: the label of pixels that are left out. Default 255.
        classes: see `LovaszSoftmaxLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid, or
        none of the classes is present.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), or `classes` is none of the three.
    """
    check_label(logits, label)
    _check_classes(classes)
    number = logits.shape[1]
    chosen = range(number) if isinstance(classes, str) else classes
    if max(chosen) >= number:
        raise UserError(f"classes holds {max(chosen)}, but the model has {number}, counted from 0")
    valid, one_hot = valid_and_one_hot(label, number, ignore_index, logits.dtype)
    # Ignored pixels have the error 0, so they come last and change no slope of a valid pixel.
    errors = (one_hot - F.softmax(logits, axis=1)).abs() * valid
    # `unbind` once: each slice by itself would have a gradient of the size of the whole tensor.
    errors, masks = errors.unbind(axis=1), one_hot.unbind(axis=1)
    losses, counted = [], []
    for c in chosen:
        y = masks[c].flatten()
        losses.append(_lovasz_extension(errors[c].flatten(), y))
        counted.append(y.max() if classes == "present" else paddle.ones([], dtype=y.dtype))
    counted = paddle.stack(counted)
    return mean_over((paddle.stack(losses) * counted).sum(), counted.sum())


def _lovasz_extension(errors, y):
    """Return the extension of one minus the IoU at `errors` of P pixels; `y` is 1 for pixels of the class."""
    with paddle.no_grad():
        order = paddle.argsort(errors, descending=True)
        y = paddle.gather(y, order)
        total = y.sum()
        jaccard = 1 - (total - y.cumsum()) / (total + (1 - y).cumsum())
        slopes = jaccard - paddle.concat([paddle.zeros_like(jaccard[:1]), jaccard[:-1]])
        slopes = paddle.scatter(paddle.zeros_like(slopes), order, slopes)
    return (errors * slopes).sum()


def _check_classes(classes):
    listed = isinstance(classes, (list, tuple))
    numbers = listed and classes and all(type(c) is int and c >= 0 for c in classes)
    if not numbers and not (isinstance(classes, str) and classes in ("present", "all")):
        raise UserError(f"classes must be 'present', 'all' or a list of classes, not {classes!r}")


@manager.LOSSES.add_component
class LovaszSoftmaxLoss(TaskLoss):
    """The Lovasz extension of one minus the IoU, averaged over classes; see `lovasz_softmax_loss`.

    Args:
        classes: the classes of the mean: "present" (those in the batch's label), "all", or a list of classes,
            present or not. Default "present".

    Raises:
        UserError: `classes` is none of the three.
    """

    function = staticmethod(lovasz_softmax_loss)

    def __init__(
        self, ignore_index: int = 255, classes: Union[Literal["present", "all"], Sequence[int]] = "present"
    ):
        _check_classes(classes)
        super().__init__(ignore_index=ignore_index, classes=classes)
