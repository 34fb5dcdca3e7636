"""Dice loss: the overlap of each class's probability map with its mask."""

from typing import Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.losses.common import (
    check_class_weight,
    check_label,
    check_not_negative,
    class_weight,
    full_precision,
    kept_and_one_hot,
)


@full_precision
def dice_loss(logits, label, weight=None, ignore_index=255, smooth=1.0):
    """Return the mean over samples and classes of one minus the Dice coefficient.

    With p = softmax(logits) over the classes and y the label's one-hot form, the sums over the kept pixels
    of a sample,

        loss = 1 / NC * sum over samples and classes of w_c * (1 - (2 sum p y + s) / (sum p + sum y + s))

    Milletari et al., "V-Net", 3DV 2016, https://arxiv.org/abs/1606.04797, whose divisor sums squares; with
    plain sums, as here and in PaddleSeg, Sudre et al., https://arxiv.org/abs/1707.03237. As in PaddleSeg the
    mean over the classes is divided by C whatever the weights. PaddleSeg 2.8.0 also writes class 0 into the
    ignored pixels of the label that it is given, which losses after it then learn from; here it stays.

    Args:
        logits: N x C x ..., floating; float16 and bfloat16 are computed in float32.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        weight: a floating tensor of length C, the w_c, or None for 1. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        smooth: s >= 0; above 0, a class that a sample lacks costs little when little of it is seen there.
            Default 1.0.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); a sample without kept pixels adds 0.

    Raises:
        UserError: `label` or `weight` does not fit `logits` (a label's classes: on a CPU), or `smooth` is
            negative or not finite.
    """
    check_label(logits, label)
    check_class_weight(weight, logits)
    check_not_negative("smooth", smooth)
    kept, one_hot = kept_and_one_hot(label, logits.shape[1], ignore_index, logits.dtype)
    of_positions = [*logits.shape[:2], -1]
    p = (F.softmax(logits, axis=1) * kept).reshape(of_positions)
    y = one_hot.reshape(of_positions)
    divisor = (p + y).sum(axis=2) + smooth
    # Without smoothing, what has no kept pixel would be 0 / 0; it is left out by both being 1.
    something = divisor > 0
    ones = paddle.ones_like(divisor)
    overlap = paddle.where(something, 2 * (p * y).sum(axis=2) + smooth, ones)
    loss = (1 - overlap / paddle.where(something, divisor, ones)).mean(axis=0)
    return (loss if weight is None else loss * weight.astype(loss.dtype)).mean()


@manager.LOSSES.add_component
class DiceLoss(nn.Layer):
    """One minus the Dice coefficient of each class; see `dice_loss`.

    Args:
        weight: one number for each class, not negative; None weighs all alike. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        smooth: added to dividend and divisor, 0 or above. Default 1.0.

    Raises:
        UserError: a weight or `smooth` is negative or not finite.
    """

    against = "label"

    def __init__(
        self, weight: Optional[Sequence[float]] = None, ignore_index: int = 255, smooth: float = 1.0
    ):
        super().__init__()
        check_not_negative("smooth", smooth)
        self.ignore_index = ignore_index
        self.smooth = smooth
        self.register_buffer("weight", class_weight(weight), persistable=False)

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x ... and label N x ... (int64)."""
        return dice_loss(logits, label, self.weight, self.ignore_index, self.smooth)
