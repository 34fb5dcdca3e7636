"""Normalised feature distillation: the features are compared without their mean and size."""

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike, check_maps
from paddleseg.losses.common import full_precision, mean_over, standardized
from paddleseg.losses.labels import valid_mask


@full_precision
def nfd_loss(student, teacher, label=None, ignore_index=255):
    """Return the mean squared difference of the features, each channel of a sample standardised.

    Liu et al., "Normalized Feature Distillation for Semantic Segmentation", 2022,
    https://arxiv.org/abs/2207.05256. With mean and variance over the H * W positions of a sample's channel,

        f' = (f - mean) / sqrt(variance + 1e-6)
        loss = 1 / PC * sum over P valid pixels and C channels of (student' - teacher')^2

    The student learns where a channel is high and low, but not how large the teacher's numbers are. A channel
    adds 2 (1 - r), where r is the correlation of the two maps. The paper takes the L2 distance; the mean of
    the squares does not grow with the size of the map. The paper's 1x1 convolution, where the channels
    differ, is a connector here.

    With a label, mean, variance and sum are over the valid pixels. The paper has no ignored pixels.

    Args:
        student: N x C x H x W, floating.
        teacher: the same shape. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`), or None. Default None.
        ignore_index: the label of pixels that are left out. Default 255.

    Returns:
        A scalar tensor of 0 to 4, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is
        valid.

    Raises:
        UserError: the shapes do not match.
    """
    check_alike(student, teacher)
    check_maps(student, teacher)
    valid = valid_mask(student, label, ignore_index).flatten(1)
    ours, theirs = (
        standardized(x.flatten(2), axis=2, weight=valid.unsqueeze(1)) for x in (student, teacher.detach())
    )
    error = (ours - theirs).square().mean(axis=1)
    return mean_over((error * valid).sum(), valid.sum())


@manager.LOSSES.add_component
class NFDLoss(MaskedLoss):
    """Squared difference of two feature maps without their mean and size; see `nfd_loss`."""

    function = staticmethod(nfd_loss)

    # Defined here, since the config checker reads the signature of each loss.
    def __init__(self, ignore_index: int = 255):
        super().__init__(ignore_index=ignore_index)
