"""Dice loss: the overlap of each class's probability map with its mask."""

from typing import Optional, Sequence

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_class_weight, check_label, check_not_negative, class_weight
from paddleseg.losses.common import full_precision
from paddleseg.losses.labels import valid_and_one_hot


@full_precision
def dice_loss(logits, label, weight=None, ignore_index=255, smooth=1.0):
    """Return the mean over samples and classes of one minus the Dice coefficient.

    With p = softmax(logits) over the classes and y the label's one-hot form, the sums over the valid pixels
    of a sample,

        loss = 1 / NC * sum over samples and classes of w_c * (1 - (2 sum p y + s) / (sum p + sum y + s))

    Milletari et al., "V-Net", 3DV 2016, https://arxiv.org/abs/1606.04797, whose divisor sums squares; with
    plain sums, as here and in PaddleSeg, Sudre et al., https://arxiv.org/abs/1707.03237. As in PaddleSeg the
    divisor of the mean over the classes is C, whatever the weights. PaddleSeg 2.8.0 also writes class 0 into
    the ignored pixels of the given label, which later losses then learn from; here the label stays the same.

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        weight: a floating tensor of length C, the w_c, or None for 1. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        smooth: see `DiceLoss`; smooth is s.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); a sample without valid pixels adds 0.

    Raises:
        UserError: `label` or `weight` does not fit `logits` (a label's classes: on a CPU), or `smooth` is
            negative or not finite.
    """
    check_label(logits, label)
    check_class_weight(weight, logits)
    check_not_negative("smooth", smooth)
    valid, one_hot = valid_and_one_hot(label, logits.shape[1], ignore_index, logits.dtype)
    n_c_positions = [*logits.shape[:2], -1]
    p = (F.softmax(logits, axis=1) * valid).reshape(n_c_positions)
    y = one_hot.reshape(n_c_positions)
    divisor = (p + y).sum(axis=2) + smooth
    # Without smoothing, a sample without valid pixels would give 0 / 0; 1 / 1 leaves it out.
    has_divisor = divisor > 0
    ones = paddle.ones_like(divisor)
    overlap = paddle.where(has_divisor, 2 * (p * y).sum(axis=2) + smooth, ones)
    loss = (1 - overlap / paddle.where(has_divisor, divisor, ones)).mean(axis=0)
    return (loss if weight is None else loss * weight.astype(loss.dtype)).mean()


@manager.LOSSES.add_component
class DiceLoss(TaskLoss):
    """One minus the Dice coefficient of each class; see `dice_loss`.

    Args:
        weight: one number for each class, not negative; None for equal weights. Default None.
        smooth: added to dividend and divisor, 0 or above; above 0, a class that is absent from a sample costs
            little if little of it is predicted. Default 1.0.

    Raises:
        UserError: a weight or `smooth` is negative or not finite, or all weights are 0.
    """

    function = staticmethod(dice_loss)

    def __init__(
        self, weight: Optional[Sequence[float]] = None, ignore_index: int = 255, smooth: float = 1.0
    ):
        check_not_negative("smooth", smooth)
        super().__init__(weight=class_weight(weight), ignore_index=ignore_index, smooth=smooth)
