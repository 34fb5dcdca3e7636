"""Masked generative distillation: the teacher's features, generated from a part of the student's."""

from typing import Optional

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike, check_channels, check_maps, check_not_negative
from paddleseg.losses.common import full_precision, widen
from paddleseg.losses.labels import valid_mask


@full_precision
def mgd_loss(generated, teacher, label=None, ignore_index=255, alpha=2e-5):
    """Return the squared error of the generated features, summed over a sample and averaged over N.

    Yang et al., "Masked Generative Distillation", ECCV 2022, https://arxiv.org/abs/2205.01529.

        loss = alpha / N * sum over N samples, C channels and the valid pixels of (generated - teacher)^2

    A sum, not a mean: it grows with the size of the map, so alpha is small.

    Args:
        generated: N x C x H x W, which `MGDLoss` generates from the student's features, floating.
        teacher: the same shape. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`); its pixels of `ignore_index` are
            left out of the sum (the published code has none). None if all are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        alpha: see `MGDLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match, or alpha is negative.
    """
    check_alike(generated, teacher)
    check_not_negative("alpha", alpha)
    valid = valid_mask(generated, label, ignore_index)
    error = (generated - teacher.detach()).square().sum(axis=1)
    return alpha * (error * valid).sum() / generated.shape[0]


class GeneratedFeatureLoss(MaskedLoss):
    """A loss of the teacher's features and those that are generated from a masked part of the student's.

    The student's feature is set to 0 at random positions, which Paddle's generator draws in each call, and
    goes through a 3x3 convolution, ReLU and a 3x3 convolution. Where the channels differ, a 1x1 convolution
    comes first, so that no connector is needed. These convolutions are trained with the student.

    Args:
        mask_ratio: the share of positions that are masked, 0 or above and below 1.
        **hyperparameters: as `Loss` takes them.

    Raises:
        UserError: the channels are not known, or the ratio is out of its range.
    """

    def __init__(self, student_channels, teacher_channels, mask_ratio, **hyperparameters):
        super().__init__(**hyperparameters)
        check_channels(self, student_channels=student_channels, teacher_channels=teacher_channels)
        if not 0 <= mask_ratio < 1:
            raise UserError(f"mask_ratio must be 0 or above and below 1, not {mask_ratio!r}")
        self.mask_ratio = mask_ratio
        C = teacher_channels
        self.align = nn.Identity() if student_channels == C else nn.Conv2D(student_channels, C, 1)
        self.generation = nn.Sequential(
            nn.Conv2D(C, C, 3, padding=1), nn.ReLU(), nn.Conv2D(C, C, 3, padding=1)
        )

    def forward(self, student, teacher, label=None):
        """Return the loss, a scalar, of N x C x H x W, N x C' x H x W and a label N x H' x W' (int64)."""
        check_maps(student, teacher)
        N, _, H, W = student.shape
        aligned = self.align(widen(student))
        visible = (paddle.rand([N, 1, H, W]) <= 1 - self.mask_ratio).astype(aligned.dtype)
        generated = self.generation(aligned * visible)
        return self.compute(generated, teacher, label=label)


@manager.LOSSES.add_component
class MGDLoss(GeneratedFeatureLoss):
    """Masked generative distillation of features; see `mgd_loss` and `GeneratedFeatureLoss`.

    Args:
        mask_ratio: the share of positions that are masked, 0 or above and below 1. Default 0.75.
        alpha: the factor of the summed error, 0 or above. Default 2e-5, the paper's for segmentation.

    Raises:
        UserError: the channels are not known, or a hyperparameter is out of its range.
    """

    function = staticmethod(mgd_loss)

    def __init__(
        self,
        student_channels: Optional[int] = None,
        teacher_channels: Optional[int] = None,
        mask_ratio: float = 0.75,
        alpha: float = 2e-5,
        ignore_index: int = 255,
    ):
        super().__init__(
            student_channels, teacher_channels, mask_ratio, alpha=alpha, ignore_index=ignore_index
        )
        check_not_negative("alpha", alpha)
