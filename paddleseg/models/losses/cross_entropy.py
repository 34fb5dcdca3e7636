"""Cross entropy between logits and a label map."""

import math
from typing import Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.models.losses.common import check_label, full_precision, mean_over


@full_precision
def cross_entropy_loss(logits, label, weight=None, ignore_index=255):
    """Return the class-weighted mean over the kept pixels of -log softmax(logits)[label].

        loss = sum_i w[y_i] * nll_i / sum_i w[y_i],  i over the pixels whose y_i is not ignore_index

    Without `weight` every w is 1: the plain mean over the kept pixels. This is the default of
    PyTorch, and of PaddleSeg 2.8.0, whose `avg_non_ignore` is true unless told otherwise.

    Args:
        logits: N x C x ... (N x C for one decision a sample), floating; float16 and bfloat16 are
            computed in float32.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        weight: a floating tensor of length C, not negative, or None. Default None.
        ignore_index: the label of pixels that are left out; it may lie within or outside 0..C-1.
            Default 255.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is kept, or
        the kept ones weigh nothing. On a CPU, Paddle's kernel counts logits that lie more than 64 below
        their pixel's largest as if they lay 64 below it; the gradient is not affected.

    Raises:
        UserError: `label` or `weight` does not fit `logits`. A label outside 0..C-1 is one as well on
            a CPU; on a GPU, where reading it would stall the device, Paddle's own kernel aborts.
    """
    check_label(logits, label)
    classes = logits.shape[1]
    if weight is not None and list(weight.shape) != [classes]:
        raise UserError(
            f"weight has the shape {list(weight.shape)} where logits of {list(logits.shape)} need one"
            f" number for each of {classes} classes"
        )
    nll = _negative_log_likelihood(logits, label, ignore_index)
    pixel_weight = (label != ignore_index).astype(nll.dtype)
    if weight is not None:
        # Any class will do for an ignored pixel: its weight is multiplied by zero.
        known = paddle.where(label != ignore_index, label, paddle.zeros_like(label))
        pixel_weight *= paddle.gather(weight.astype(nll.dtype), known.flatten()).reshape(label.shape)
    return mean_over((nll * pixel_weight).sum(), pixel_weight.sum())


def _negative_log_likelihood(logits, label, ignore_index):
    """Return -log softmax(logits)[label], N x ..., and 0 where `label` is `ignore_index`."""
    # Paddle's CPU kernel takes up to three times as long over an inner axis as this transposition
    # and the last axis together.
    classes_last = logits.transpose([0, *range(2, len(logits.shape)), 1])
    try:
        return F.cross_entropy(classes_last, label, ignore_index=ignore_index, reduction="none")
    except IndexError:
        kept = paddle.masked_select(label, label != ignore_index)
        raise UserError(
            f"label holds classes from {int(kept.min())} to {int(kept.max())}, but the model has"
            f" {logits.shape[1]}, counted from 0: num_classes or ignore_index ({ignore_index}) is wrong"
        ) from None


@manager.LOSSES.add_component
class CrossEntropyLoss(nn.Layer):
    """Cross entropy, averaged over the pixels that are not ignored; see `cross_entropy_loss`.

    Args:
        weight: one number for each class, not negative; None weighs all alike. Default None.
        ignore_index: the label of pixels that are left out. Default 255.

    Raises:
        UserError: a weight is negative or not finite.
    """

    against = "label"

    def __init__(self, weight: Optional[Sequence[float]] = None, ignore_index: int = 255):
        super().__init__()
        self.ignore_index = ignore_index
        if weight is None:
            self.weight = None
            return
        if not all(0 <= w < math.inf for w in weight):
            raise UserError(f"weight must hold numbers that are 0 or more, not {list(weight)}")
        self.register_buffer("weight", paddle.to_tensor(weight, dtype="float32"), persistable=False)

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x ... and label N x ... (int64)."""
        return cross_entropy_loss(logits, label, weight=self.weight, ignore_index=self.ignore_index)
