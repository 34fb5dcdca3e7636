"""Cross entropy between logits and a label map."""

from typing import Optional, Sequence

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_class_weight, check_label, class_weight
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.labels import outside_classes_error


@full_precision
def cross_entropy_loss(
    logits, label, weight=None, ignore_index=255, top_k_percent_pixels=1.0, avg_non_ignore=True
):
    """Return the class-weighted mean over the valid pixels of -log softmax(logits)[label].

        loss = sum_i w[y_i] * nll_i / sum_i w[y_i],  i over the pixels whose y_i is not ignore_index

    Without `weight` every w is 1: the plain mean over the valid pixels, the default of PyTorch and of
    PaddleSeg 2.8.0.

    With `top_k_percent_pixels` = p below 1, both sums run over the floor(p * P) pixels, one at least, with
    the largest w * nll of all P pixels of the batch: hard-pixel mining as in DeepLab's code
    (https://github.com/tensorflow/models/tree/master/research/deeplab). If fewer are valid, the mean is over
    the valid ones; PaddleSeg 2.8.0 counts ignored ones too, with a loss of 0.

    Args:
        logits: N x C x ... (N x C for one label a sample), floating.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        weight: a floating tensor of length C, not negative, or None. Default None.
        ignore_index, top_k_percent_pixels, avg_non_ignore: see `CrossEntropyLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid, or
        all valid ones have the weight 0. On a CPU, Paddle's kernel raises logits that are more than 64 below
        their pixel's largest to 64 below it; the gradient is not affected.

    Raises:
        UserError: `label` or `weight` does not fit `logits`, or `top_k_percent_pixels` is out of its range.
            On a CPU, also a label outside 0..C-1; on a GPU, where reading it would stall the device, Paddle's
            own kernel aborts.
    """
    check_label(logits, label)
    check_class_weight(weight, logits)
    _check_top_k(top_k_percent_pixels)
    nll = negative_log_likelihood(logits, label, ignore_index)
    valid = label != ignore_index
    pixel_weight = valid.astype(nll.dtype)
    if weight is not None:
        # An ignored pixel may have any class here: its weight is multiplied by zero.
        known = paddle.where(valid, label, paddle.zeros_like(label))
        pixel_weight *= paddle.gather(weight.astype(nll.dtype), known.flatten()).reshape(label.shape)
    loss = nll * pixel_weight
    counted = pixel_weight
    if not avg_non_ignore:
        counted = paddle.where(valid, pixel_weight, paddle.ones_like(pixel_weight))
    if top_k_percent_pixels < 1:
        number = max(1, int(top_k_percent_pixels * loss.size))
        loss, hardest = paddle.topk(loss.flatten(), number)
        counted = paddle.gather(counted.flatten(), hardest)
    return mean_over(loss.sum(), counted.sum())


def negative_log_likelihood(logits, label, ignore_index):
    """Return -log softmax(logits)[label], N x ..., and 0 where `label` is `ignore_index`.

    Raises:
        UserError: a label outside 0..C-1, on a CPU.
    """
    # Over an inner axis, Paddle's CPU kernel takes up to three times as long as this transposition and the
    # kernel over the last axis together.
    classes_last = logits.transpose([0, *range(2, len(logits.shape)), 1])
    try:
        return F.cross_entropy(classes_last, label, ignore_index=ignore_index, reduction="none")
    except IndexError:
        raise outside_classes_error(label, logits.shape[1], ignore_index) from None


def _check_top_k(top_k_percent_pixels):
    if not 0 < top_k_percent_pixels <= 1:
        raise UserError(
            f"top_k_percent_pixels must be a fraction above 0 and up to 1, not {top_k_percent_pixels}"
        )


@manager.LOSSES.add_component
class CrossEntropyLoss(TaskLoss):
    """Cross entropy, averaged over the pixels that are not ignored; see `cross_entropy_loss`.

    Args:
        weight: one number for each class, not negative; None for equal weights. Default None.
        ignore_index: the label of pixels that are left out; it may be one of the classes. Default 255.
        top_k_percent_pixels: the fraction of the pixels to learn from, the hardest, above 0 and up to 1.
            Default 1.0.
        avg_non_ignore: False counts each ignored pixel in the divisor, with weight 1, so that images with
            many ignored pixels weigh less. Default True.

    Raises:
        UserError: a weight is negative or not finite, all are 0, or the fraction is out of its range.
    """

    function = staticmethod(cross_entropy_loss)

    def __init__(
        self,
        weight: Optional[Sequence[float]] = None,
        ignore_index: int = 255,
        top_k_percent_pixels: float = 1.0,
        avg_non_ignore: bool = True,
    ):
        _check_top_k(top_k_percent_pixels)
        super().__init__(
            weight=class_weight(weight),
            ignore_index=ignore_index,
            top_k_percent_pixels=top_k_percent_pixels,
            avg_non_ignore=avg_non_ignore,
        )
