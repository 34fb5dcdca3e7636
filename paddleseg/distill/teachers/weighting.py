"""Several teachers' logits made one."""

import paddle
import paddle.nn.functional as F

from paddleseg.losses.checks import check_label
from paddleseg.losses.common import full_precision, log_softmax


@full_precision
def confidence_weights(logits, label, ignore_index=255):
    """Return how much each teacher counts at each pixel: the more, the likelier it holds the true class.

    After Zhang et al., "Confidence-Aware Multi-Teacher Knowledge Distillation", ICASSP 2022,
    https://arxiv.org/abs/2201.00007, whose weights of a sample are taken pixel by pixel here. With p_k the
    probability that teacher k of K gives the true class, and L_k = -log p_k its cross entropy,

        w_k = 1 / (K - 1) * (1 - exp(L_k) / sum_j exp(L_j)),    exp(L_k) = 1 / p_k

    The weights sum to 1; of two teachers, w_1 = p_1 / (p_1 + p_2). Where the label is `ignore_index`, or
    there is none, w_k = 1 / K.

    Args:
        logits: K x N x C x ..., K > 1, floating; float16 and bfloat16 are computed in float32.
        label: M x ..., int64, of the first M <= N images.
        ignore_index: see above. Default 255.

    Returns:
        K x N x ..., float32 (float64 for float64 logits).

    Raises:
        UserError: the label does not fit the logits.
    """
    teachers, images, classes = logits.shape[:3]
    if label.shape[0] < images:
        unknown = paddle.full([images - label.shape[0], *label.shape[1:]], ignore_index, label.dtype)
        label = paddle.concat([label, unknown])
    check_label(logits[0], label)
    known = label != ignore_index
    # A class that does not exist is the task's loss to tell of.
    true_class = paddle.where(known, label, paddle.zeros_like(label)).clip(0, classes - 1)
    true_class = true_class.unsqueeze(1).unsqueeze(0).expand([teachers, images, 1, *label.shape[1:]])
    cross_entropy = -paddle.take_along_axis(log_softmax(logits, axis=2), true_class, axis=2).squeeze(2)
    weights = (1 - F.softmax(cross_entropy, axis=0)) / (teachers - 1)
    return paddle.where(known.unsqueeze(0), weights, paddle.full_like(weights, 1 / teachers))


@full_precision
def weighted_logits(logits, weights=None):
    """Return the sum over the teachers of weight times logits, or their mean.

    Args:
        logits: K x N x C x ..., floating.
        weights: K x N x ...; None for the mean. Default None.

    Returns:
        N x C x ..., float32 (float64 for float64 logits).
    """
    return logits.mean(axis=0) if weights is None else (logits * weights.unsqueeze(2)).sum(axis=0)
