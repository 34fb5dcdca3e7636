"""Intra-class feature variation distillation: how similar each pixel is to the mean of its class."""

import paddle

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_count, check_maps, require_label
from paddleseg.losses.common import full_precision, mean_over, unit
from paddleseg.losses.labels import class_means, class_members, resize_label_like


@full_precision
def ifvd_loss(student, teacher, label, num_classes, ignore_index=255):
    """Return the mean over the valid pixels of the squared difference of two cosines.

    Wang et al., "Intra-class Feature Variation Distillation for Semantic Segmentation", ECCV 2020,
    https://www.ecva.net/papers/eccv_2020/papers_ECCV/papers/123520341.pdf. With m[n, k] the mean feature
    of the valid pixels of class k in sample n,

        v[i] = cos(f[i], m[n_i, y_i])
        loss = 1 / P * sum over P valid pixels of (v_student[i] - v_teacher[i])^2

    The published code counts ignored pixels in P, each with a difference of 0; here they are left out, as
    are pixels with labels beyond 0..num_classes-1.

    Args:
        student: N x C x H x W, floating.
        teacher: N x C' x H x W; C' may differ from C. No gradient reaches it.
        label: N x H' x W', int64, of any size; resized to H x W (see `resize_label`).
        ignore_index: the label of pixels that are left out. Default 255.
        num_classes: see `IFVDLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: there is no label, shapes do not match, or `num_classes` is below 1.
    """
    check_maps(student, teacher)
    check_count("num_classes", num_classes)
    require_label("IFVDLoss", label)
    members = class_members(resize_label_like(student, label), num_classes, ignore_index, student.dtype)
    with paddle.no_grad():
        theirs = _variation(teacher, members)
    valid = members.sum(axis=1)
    error = (_variation(student, members) - theirs).square()
    return mean_over((error * valid).sum(), valid.sum())


def _variation(features, members):
    """Return N x L: the cosine of each pixel with the mean of its class."""
    features = features.flatten(2)
    means = unit(class_means(features, members), axis=2)
    mean_of_pixel = paddle.matmul(means, members, transpose_x=True)
    return (unit(features, axis=1) * mean_of_pixel).sum(axis=1)


@manager.LOSSES.add_component
class IFVDLoss(MaskedLoss):
    """Similarity of each pixel's feature to the mean of its class; see `ifvd_loss`.

    Raises:
        UserError: `num_classes` is below 1.
    """

    needs_label = True
    function = staticmethod(ifvd_loss)

    def __init__(self, num_classes: int, ignore_index: int = 255):
        check_count("num_classes", num_classes)
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
