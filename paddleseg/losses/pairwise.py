"""Pair-wise distillation: how alike the regions of an image are to one another."""

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import DistillationLoss
from paddleseg.losses.checks import check_maps
from paddleseg.losses.common import full_precision


@full_precision
def pairwise_loss(student, teacher, scale=0.5):
    """Return the mean squared difference of the affinities between the regions of each image.

    Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019,
    https://arxiv.org/abs/1903.04197. Both maps are max-pooled with kernel and stride
    floor(H * scale) x floor(W * scale), at least 1; a last window that sticks out is cut off (ceil mode).
    With the features f of the P pooled positions,

        a[i, j] = f[i] . f[j] / ((|f[i]| + 1e-8) (|f[j]| + 1e-8))
        loss = 1 / (N P^2) * sum over N samples and all pairs of (a_teacher[i, j] - a_student[i, j])^2

    As in the published code, no gradient passes through the norms, and the default scale gives 2 x 2
    regions, 3 x 3 where H and W are odd. The loss takes no label, since it compares regions, not pixels.

    PaddleSeg's loss of this name computes no affinity. Coefficients do not carry over from there.

    Args:
        student: N x C x H x W, floating.
        teacher: N x C' x H x W; C' may differ from C. No gradient reaches it.
        scale: see `SegPairWiseLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs).

    Raises:
        UserError: the shapes do not match, or the scale is out of its range.
    """
    check_maps(student, teacher)
    _check_scale(scale)
    with paddle.no_grad():
        theirs = _affinity(teacher, scale)
    return (theirs - _affinity(student, scale)).square().mean()


def _affinity(features, scale):
    """Return N x P x P, the cosine between every two of the pooled positions of each sample."""
    window = [max(1, int(size * scale)) for size in features.shape[2:]]
    regions = F.max_pool2d(features, window, stride=window, padding=0, ceil_mode=True).flatten(2)
    with paddle.no_grad():
        norm = regions.square().sum(axis=1, keepdim=True).sqrt()
        # Zeros stay zeros over any norm; over 1e-8 their gradient would be unbounded.
        norm = paddle.where(norm > 0, norm + 1e-8, paddle.ones_like(norm))
    directions = regions / norm
    return paddle.matmul(directions, directions, transpose_x=True)


def _check_scale(scale):
    if not 0 < scale <= 1:
        raise UserError(f"scale must be above 0 and at most 1, not {scale!r}")


@manager.LOSSES.add_component
class SegPairWiseLoss(DistillationLoss):
    """Affinities between the regions of an image, compared with the teacher's; see `pairwise_loss`.

    PaddleSeg's loss of this name computes no affinity.

    Args:
        scale: the share of height and width that a region spans, above 0 and at most 1. Default 0.5.

    Raises:
        UserError: the scale is out of its range.
    """

    function = staticmethod(pairwise_loss)

    def __init__(self, scale: float = 0.5):
        _check_scale(scale)
        super().__init__(scale=scale)
