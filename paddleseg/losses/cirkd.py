"""Cross-image relational distillation within a batch: how alike the pixels of two images are."""

import paddle

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_maps, check_positive
from paddleseg.losses.common import full_precision, kl_divergence, mean_over, unit
from paddleseg.losses.labels import valid_mask


@full_precision
def cirkd_mini_batch_loss(student, teacher, label=None, ignore_index=255, temperature=0.1):
    """Return the mean over all ordered pairs of images of the divergence of their pixels' similarities.

    Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022,
    https://arxiv.org/abs/2204.06986. With every pixel's feature f of unit length over the channels, and
    each image paired with itself and with every other,

        s[a, i, b, j] = f[a, i] . f[b, j] / T,   i, j over the H * W positions of the images a and b
        loss = 1 / (N^2 P) * sum over a, b and i of KL(softmax_j s_teacher || softmax_j s_student)

    without a factor T^2. Given a label, only valid pixels are compared, on both sides, and pairs with an
    image that has none are left out; the published code has no ignored pixels.

    As in the published code, each rank compares its own images. A pair takes (H * W)^2 numbers several times
    over, so that a small map, of stride 16 or 32, is advised.

    Args:
        student: N x C x H x W, floating.
        teacher: N x C' x H x W; C' may differ from C. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`), or None. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        temperature: see `CIRKDMiniBatchLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match, or the temperature is not positive.
    """
    check_maps(student, teacher)
    check_positive("temperature", temperature)
    valid = valid_mask(student, label, ignore_index).flatten(1)
    others = None if label is None else valid.unsqueeze(1) > 0
    ours = unit(student.flatten(2), axis=1)
    with paddle.no_grad():
        theirs = unit(teacher.flatten(2), axis=1)
    present = (valid.sum(axis=1) > 0).astype(valid.dtype)
    total = 0.0
    for image in range(student.shape[0]):
        similar, target = (paddle.matmul(f[image].t(), f) / temperature for f in (ours, theirs))
        divergence = kl_divergence(similar, target, axis=-1, mask=others)
        per_pair = mean_over((divergence * valid[image]).sum(axis=1), valid[image].sum())
        total = total + (per_pair * present).sum()
    return mean_over(total, present.sum() ** 2)


@manager.LOSSES.add_component
class CIRKDMiniBatchLoss(MaskedLoss):
    """Similarities between the pixels of the images of a batch; see `cirkd_mini_batch_loss`.

    Args:
        temperature: T > 0, by which the similarities are divided. Default 0.1, the published one.

    Raises:
        UserError: the temperature is not positive.
    """

    function = staticmethod(cirkd_mini_batch_loss)

    def __init__(self, temperature: float = 0.1, ignore_index: int = 255):
        check_positive("temperature", temperature)
        super().__init__(temperature=temperature, ignore_index=ignore_index)
