"""Cross entropy over the hard pixels only (online hard example mining)."""

import math
from typing import Optional, Sequence

import paddle

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_class_weight, check_label, class_weight
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.cross_entropy import negative_log_likelihood


@full_precision
def ohem_cross_entropy_loss(logits, label, thresh=0.7, min_kept=10000, ignore_index=255, weight=None):
    """Return the mean over the hard pixels of -weight[label] log softmax(logits)[label].

    A pixel is hard if the probability of its class is at most `thresh`, or if it is among the `min_kept`
    pixels of the batch with the lowest probability. After Shrivastava et al., CVPR 2016,
    https://arxiv.org/abs/1604.03540; the rule with two bounds is that of the segmentation codes that
    PaddleSeg follows, such as OCNet's (https://github.com/openseg-group/OCNet.pytorch).

    The divisor is the number of the hard pixels. Class weights change neither which pixels are hard nor the
    divisor, as in PIDNet's code (https://github.com/XuJiacong/PIDNet), whose configs state such weights.

    PaddleSeg 2.8.0 differs in four points. It has no class weights. It leaves out the pixel at the bound, so
    only min_kept - 1 pixels are sure to count. With a `min_kept` of 0 it takes all pixels instead of those
    below `thresh`. Its divisor is larger by 1e-5 of all pixels.

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        ignore_index: the label of pixels that are left out. Default 255.
        thresh, min_kept: see `OhemCrossEntropyLoss`.
        weight: C, float32, or None for a weight of 1. Default None.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is hard.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), or a bound is out of its range.
    """
    check_label(logits, label)
    check_class_weight(weight, logits)
    _check_bounds(thresh, min_kept)
    nll = negative_log_likelihood(logits, label, ignore_index)
    valid = label != ignore_index
    bound = -math.log(thresh) if thresh > 0 else math.inf
    hard = nll >= bound
    if min_kept > 0:
        with paddle.no_grad():
            ranked = paddle.where(valid, nll, paddle.full_like(nll, -1.0)).flatten()
            hardest, _ = paddle.topk(ranked, min(min_kept, ranked.shape[0]))
        hard = paddle.logical_or(hard, nll >= hardest.min())
    counted = paddle.logical_and(valid, hard).astype(nll.dtype)
    if weight is not None:
        classes = paddle.where(valid, label, paddle.zeros_like(label))
        nll = nll * paddle.gather(weight, classes.flatten()).reshape(label.shape).astype(nll.dtype)
    return mean_over((nll * counted).sum(), counted.sum())


def _check_bounds(thresh, min_kept):
    if not 0 <= thresh <= 1:
        raise UserError(f"thresh must be a probability of 0 to 1, not {thresh}")
    if min_kept < 0:
        raise UserError(f"min_kept must be 0 or above, not {min_kept}")


@manager.LOSSES.add_component
class OhemCrossEntropyLoss(TaskLoss):
    """Cross entropy over the hard pixels only; see `ohem_cross_entropy_loss`.

    Args:
        thresh: pixels are hard if the probability of their class is at most this, 0 to 1. Default 0.7.
        min_kept: the least number of hard pixels in a batch, if it has so many. Default 10000.
        weight: one number for each class, not negative; None for equal weights. Default None.

    Raises:
        UserError: a bound is out of its range, or a weight is none.
    """

    function = staticmethod(ohem_cross_entropy_loss)

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 10000,
        ignore_index: int = 255,
        weight: Optional[Sequence[float]] = None,
    ):
        _check_bounds(thresh, min_kept)
        weight = class_weight(weight)
        super().__init__(thresh=thresh, min_kept=min_kept, ignore_index=ignore_index, weight=weight)
