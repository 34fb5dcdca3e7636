"""Channel-wise distillation: where in the image each channel is active."""

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike, check_positive
from paddleseg.losses.common import full_precision, kl_divergence, mean_over
from paddleseg.losses.labels import valid_mask


@full_precision
def channelwise_loss(student, teacher, temperature=4.0, label=None, ignore_index=255):
    """Return the mean over samples and channels of T^2 KL(p || q), p and q spread over the positions.

    Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021,
    https://arxiv.org/abs/2011.13256. Each channel becomes a distribution over all of its H * W
    positions, p = softmax(teacher / T) and q = softmax(student / T), and

        loss = T^2 / NC * sum over N samples, C channels and all positions of p * (log p - log q)

    PaddleSeg's loss of this name differs: its softmax runs over the width alone, each row being a
    distribution of its own, and it has no temperature. Coefficients do not carry over from there.

    Given a label, the distributions are over the valid positions, and samples without any are left out of
    the mean; the published code has no ignored pixels.

    Args:
        student: features or logits, floating.
            N x C x H x W (or N x C x any axes of positions); N x C x L is C channels of L positions,
            N x L a single channel of L positions.
        teacher: the same shape. No gradient reaches it.
        label: N x positions, int64; N x H' x W' of another size is resized (see `resize_label`); N, one
            label a sample, goes with N x L. None if all positions are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        temperature: see `SegChannelwiseLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes differ or have a single axis, the label does not fit, or the temperature is
            not positive.
    """
    check_alike(student, teacher)
    check_positive("temperature", temperature)
    if len(student.shape) == 2:
        if label is not None and len(label.shape) == 1:
            label = label.unsqueeze(1).expand(student.shape)
        student, teacher = student.unsqueeze(1), teacher.unsqueeze(1)
    valid = None if label is None else valid_mask(student, label, ignore_index).flatten(1).unsqueeze(1) > 0
    student, teacher = student.flatten(2), teacher.flatten(2)
    divergence = kl_divergence(student, teacher, -1, temperature, valid)
    if valid is None:
        return divergence.mean()
    present = valid.any(axis=-1).astype(divergence.dtype)
    return mean_over((divergence * present).sum(), present.sum() * student.shape[1])


@manager.LOSSES.add_component
class SegChannelwiseLoss(MaskedLoss):
    """Channel-wise distillation of features or logits, as in its paper; see `channelwise_loss`.

    PaddleSeg's loss of this name takes the softmax over the width only, without a temperature.

    Args:
        temperature: T > 0, by which both inputs are divided; a higher one takes more positions into account.
            Default 4.0, the paper's.

    Raises:
        UserError: the temperature is not positive.
    """

    function = staticmethod(channelwise_loss)

    def __init__(self, temperature: float = 4.0, ignore_index: int = 255):
        check_positive("temperature", temperature)
        super().__init__(ignore_index=ignore_index, temperature=temperature)
