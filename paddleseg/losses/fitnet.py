"""FitNets: the squared difference of the features."""

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.labels import valid_mask


@full_precision
def fitnet_loss(student, teacher, label=None, ignore_index=255):
    """Return the mean over valid pixels and channels of the squared difference.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, https://arxiv.org/abs/1412.6550. The
    paper's regressor, which brings the student to the teacher's channels, is a connector here.

        loss = 1 / PC * sum over P valid pixels and C channels of (student - teacher)^2

    Args:
        student: N x C x ..., floating.
        teacher: the same shape. No gradient reaches it.
        label: N x ..., int64; pixels of `ignore_index` are left out (the published code has none).
            N x H' x W' of another size is resized (see `resize_label`). None if all are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match.
    """
    check_alike(student, teacher)
    valid = valid_mask(student, label, ignore_index)
    error = (student - teacher.detach()).square().mean(axis=1)
    return mean_over((error * valid).sum(), valid.sum())


@manager.LOSSES.add_component
class FitNetLoss(MaskedLoss):
    """Mean squared error between two feature maps; see `fitnet_loss`."""

    function = staticmethod(fitnet_loss)

    # Defined here, since the config checker reads the signature of each loss.
    def __init__(self, ignore_index: int = 255):
        super().__init__(ignore_index=ignore_index)
