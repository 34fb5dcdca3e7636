"""Focal losses: cross entropy in which well-classified pixels count less."""

from typing import Optional

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.binary_cross_entropy import binary_targets
from paddleseg.losses.checks import check_label, check_not_negative, check_num_classes
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.cross_entropy import negative_log_likelihood


@full_precision
def focal_loss(logits, label, alpha=0.25, gamma=2.0, ignore_index=255):
    """Return the mean over valid pixels and channels of the focal loss of each channel's classifier.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, https://arxiv.org/abs/1708.02002. The
    target is 1 in the channel of the pixel's class (see `binary_targets`). With q the probability that
    sigmoid(logit) gives to the target, and a = alpha where the target is 1, else 1 - alpha,

        loss = mean of -a * (1 - q)^gamma * log q

    PaddleSeg 2.8.0 computes the same, documents alpha as the weight of class 1 alone, and requires two
    channels.

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, of 0..C-1 (0 and 1 for a single channel) or `ignore_index`.
        ignore_index: the label of pixels that are left out. Default 255.
        alpha, gamma: see `FocalLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), alpha or gamma is out of its range.
    """
    _check_alpha_is_share(alpha)
    check_not_negative("gamma", gamma)
    valid, target = binary_targets(logits, label, ignore_index)
    signed = logits * (2 * target - 1)
    weight = alpha * target + (1 - alpha) * (1 - target)
    # (1 - q)^gamma by its logarithm: the power's own gradient is infinite at 0 for gamma below 1.
    loss = -weight * paddle.exp(gamma * F.log_sigmoid(-signed)) * F.log_sigmoid(signed)
    return mean_over((loss * valid).sum(), valid.sum())


@full_precision
def multi_class_focal_loss(logits, label, alpha=1.0, gamma=2.0, ignore_index=255):
    """Return the mean over the valid pixels of -alpha * (1 - q)^gamma * log q, q = softmax(logits)[label].

    The focal loss (https://arxiv.org/abs/1708.02002) with a softmax over the classes, as in PaddleSeg.

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, of 0..C-1 or `ignore_index`.
        ignore_index: the label of pixels that are left out. Default 255.
        alpha, gamma: see `MultiClassFocalLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), alpha or gamma is negative or
            not finite.
    """
    check_label(logits, label)
    check_not_negative("alpha", alpha)
    check_not_negative("gamma", gamma)
    nll = negative_log_likelihood(logits, label, ignore_index)
    # At 0 the power's gradient would be infinite for gamma below 1.
    missing = (-paddle.expm1(-nll)).clip(min=1e-30)
    valid = (label != ignore_index).astype(nll.dtype)
    return alpha * mean_over((missing**gamma * nll * valid).sum(), valid.sum())


def _check_alpha_is_share(alpha):
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha must be 0 to 1, not {alpha}")


@manager.LOSSES.add_component
class FocalLoss(TaskLoss):
    """Focal loss with a sigmoid for each channel; see `focal_loss`.

    A config's model has a channel for each class and its masks are N x H x W; a single channel, or targets of
    N x C x H x W for classes that do not exclude each other, serve a training written in Python only.

    Args:
        alpha: the weight of positive targets, 0 to 1. Default 0.25.
        gamma: how strongly easy targets are weighted down, 0 or above; 0 is a binary cross entropy weighted
            by alpha. Default 2.0.

    Raises:
        UserError: alpha or gamma is out of its range.
    """

    function = staticmethod(focal_loss)

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, ignore_index: int = 255):
        _check_alpha_is_share(alpha)
        check_not_negative("gamma", gamma)
        super().__init__(alpha=alpha, gamma=gamma, ignore_index=ignore_index)


@manager.LOSSES.add_component
class MultiClassFocalLoss(TaskLoss):
    """Focal loss with a softmax over the classes; see `multi_class_focal_loss`.

    Args:
        num_class: the number of classes, which the logits must have; PaddleSeg requires it and does not use
            it. Default None: any number.
        alpha: a factor of the whole, 0 or above. Default 1.0.
        gamma: how strongly easy pixels are weighted down, 0 or above; 0 is alpha times the cross entropy.
            Default 2.0.

    Raises:
        UserError: alpha or gamma is negative or not finite.
    """

    function = staticmethod(multi_class_focal_loss)

    def __init__(
        self, num_class: Optional[int] = None, alpha: float = 1.0, gamma: float = 2.0, ignore_index: int = 255
    ):
        check_not_negative("alpha", alpha)
        check_not_negative("gamma", gamma)
        super().__init__(alpha=alpha, gamma=gamma, ignore_index=ignore_index)
        self.num_class = num_class

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x ... and label N x ... (int64)."""
        check_num_classes("num_class", self.num_class, logits)
        return self.compute(logits, label)
