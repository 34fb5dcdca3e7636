"""Attention-guided feature distillation: features are compared after attention has refined them."""

from typing import Optional

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.losses.base import DistillationLoss
from paddleseg.losses.checks import check_alike, check_channels, check_maps
from paddleseg.losses.common import full_precision, unit, widen

REDUCTION = 16


@full_precision
def attnfd_loss(student, teacher):
    """Return the squared distance of two refined features, each of unit length, averaged over N.

    Mansourian et al., "Attention-guided Feature Distillation for Semantic Segmentation", 2024,
    https://arxiv.org/abs/2403.05451. The norms run over the whole tensor, the batch included:

        loss = 1 / N * sum of (student / |student| - teacher / |teacher|)^2

    Args:
        student: N x C x H x W, refined as `AttnFDLoss` does, floating.
        teacher: the same shape. No gradient reaches it.

    Returns:
        A scalar tensor between 0 and 4 / N, float32 (float64 for float64 inputs).

    Raises:
        UserError: the shapes differ.
    """
    check_alike(student, teacher)
    return (unit(student) - unit(teacher.detach())).square().sum() / student.shape[0]


def plain_attention(x):
    """Return `x`, N x C x H x W, refined by attention without parameters, as AttnFD refines the teacher.

    x1 = x * sigmoid(mean + max over the positions), then x1 * sigmoid(max + mean over the channels).
    """
    x = x * F.sigmoid(sum(_mean_and_highest(x, [2, 3])))
    return x * F.sigmoid(sum(_mean_and_highest(x, 1)))


@full_precision
def _mean_and_highest(x, axis):
    """Return mean and maximum over `axis`, which stays with length 1; equal maxima share the gradient.

    Paddle's `max` would give each of them the whole gradient, as in a channel of zeros; its `amax` takes
    seconds on a CPU (measured with release 3.3.1).
    """
    ties = (x == x.detach().max(axis=axis, keepdim=True)).astype(x.dtype)
    highest = (x * ties).sum(axis=axis, keepdim=True) / ties.sum(axis=axis, keepdim=True)
    return x.mean(axis=axis, keepdim=True), highest


class CBAM(nn.Layer):
    """Channel attention, then spatial attention: N x C x H x W to the same shape.

    Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018, https://arxiv.org/abs/1807.06521:

        x1 = x * sigmoid(mlp(mean over the positions) + mlp(max over the positions))
        x2 = x1 * sigmoid(BN(conv7x7([max over the channels, mean over the channels])))

    Args:
        channels: C.
        reduction: the hidden layer of the mlp has C // reduction units, 1 at least. Default 16.
    """

    def __init__(self, channels, reduction=REDUCTION):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        # Paddle's momentum is the share of the old mean.
        self.spatial = nn.Sequential(
            nn.Conv2D(2, 1, 7, padding=3, bias_attr=False), nn.BatchNorm2D(1, momentum=0.99)
        )

    def forward(self, x):
        logits = sum(self.mlp(pooled.flatten(1)) for pooled in _mean_and_highest(x, [2, 3]))
        x = x * F.sigmoid(logits).unsqueeze([2, 3])
        mean, highest = _mean_and_highest(x, 1)
        return x * F.sigmoid(self.spatial(paddle.concat([highest, mean], axis=1)))


@manager.LOSSES.add_component
class AttnFDLoss(DistillationLoss):
    """Attention-guided feature distillation; see `attnfd_loss`.

    The student's feature is refined by a `CBAM` that is trained with the student, the teacher's by
    `plain_attention`, which has no parameters. Where the channels differ, a 1x1 convolution with batch
    norm follows the student's attention, so that no connector is needed; the published code always has it.
    The loss takes no label, since attention looks at the image as a whole.

    Raises:
        UserError: the channels are not known.
    """

    function = staticmethod(attnfd_loss)

    def __init__(self, student_channels: Optional[int] = None, teacher_channels: Optional[int] = None):
        super().__init__()
        check_channels(self, student_channels=student_channels, teacher_channels=teacher_channels)
        self.attention = CBAM(student_channels)
        self.align = nn.Identity()
        if student_channels != teacher_channels:
            self.align = nn.Sequential(
                nn.Conv2D(student_channels, teacher_channels, 1, bias_attr=False),
                nn.BatchNorm2D(teacher_channels),
            )

    def forward(self, student, teacher):
        """Return the loss, a scalar, of N x C x H x W and N x C' x H x W."""
        check_maps(student, teacher)
        refined = self.align(self.attention(widen(student)))
        with paddle.no_grad():
            target = plain_attention(widen(teacher))
        return self.compute(refined, target)
