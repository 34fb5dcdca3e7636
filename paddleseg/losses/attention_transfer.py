"""Attention transfer: where in the image a layer is active."""

import paddle

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_maps, check_positive
from paddleseg.losses.common import full_precision, mean_over, unit
from paddleseg.losses.labels import valid_mask


@full_precision
def attention_transfer_loss(student, teacher, label=None, ignore_index=255, p=2.0):
    """Return the mean squared difference of the activation maps, each of unit length.

    Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017,
    https://arxiv.org/abs/1612.03928. For every sample, over its H * W positions,

        a[i] = mean over the channels of |f[c, i]|^p,   A = a / |a|
        loss = 1 / P * sum over P positions of the batch of (A_student[i] - A_teacher[i])^2

    Given a label, only valid positions are in a and in P; the published code has no ignored pixels.

    Args:
        student: N x C x H x W, floating.
        teacher: N x C' x H x W; C' may differ from C. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`), or None. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        p: see `ATLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match, or p is not positive.
    """
    check_maps(student, teacher)
    check_positive("p", p)
    valid = valid_mask(student, label, ignore_index).flatten(1)
    with paddle.no_grad():
        theirs = _attention(teacher, valid, p)
    error = (_attention(student, valid, p) - theirs).square()
    return mean_over(error.sum(), valid.sum())


def _attention(features, valid, p):
    """Return N x L: the activation of each position, of unit length over the valid ones."""
    features = features.flatten(2)
    # `!=` would not do: Paddle takes a number that is nearly 0 as equal to 0.
    active = paddle.logical_and(features.abs() > 0, (valid > 0).unsqueeze(1))
    # Below p = 1 a power has no gradient at 0, and Paddle 2.6 lets an infinite one through `where`.
    highest = _highest(features.abs(), active)
    magnitudes = paddle.where(active, features.abs() / highest, paddle.ones_like(features))
    powers = paddle.where(active, magnitudes.pow(p), paddle.zeros_like(features))
    return unit(powers.mean(axis=1), axis=1)


def _highest(magnitudes, active):
    """Return each sample's highest active magnitude, N x 1 x 1; 1 where none is active.

    Dividing by it keeps a power and its square within float32's range; the unit length undoes the division.
    """
    highest = (magnitudes * active.astype(magnitudes.dtype)).detach().max(axis=[1, 2], keepdim=True)
    return paddle.where(highest > 0, highest, paddle.ones_like(highest))


@manager.LOSSES.add_component
class ATLoss(MaskedLoss):
    """Attention transfer between two feature maps; see `attention_transfer_loss`.

    Args:
        p: the power of the activations, above 0; a higher one looks at the highest activations. Default 2.0.

    Raises:
        UserError: p is not positive.
    """

    function = staticmethod(attention_transfer_loss)

    def __init__(self, p: float = 2.0, ignore_index: int = 255):
        check_positive("p", p)
        super().__init__(p=p, ignore_index=ignore_index)
