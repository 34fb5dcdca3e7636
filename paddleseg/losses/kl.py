"""Kullback-Leibler divergence between the class distributions of teacher and student."""

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike, check_positive
from paddleseg.losses.common import full_precision, kl_divergence, mean_over, standardized
from paddleseg.losses.labels import valid_mask

REDUCTIONS = ("mean", "pixel")


@full_precision
def kl_loss(
    student,
    teacher,
    label=None,
    ignore_index=255,
    temperature=1.0,
    reduction="mean",
    logit_standardization=False,
):
    """Return the mean over the valid pixels of T^2 KL(softmax(teacher / T) || softmax(student / T)).

    The softened targets and the factor T^2 are those of Hinton et al., "Distilling the Knowledge in a
    Neural Network", 2015, https://arxiv.org/abs/1503.02531. With p = softmax(teacher / T) and
    q = softmax(student / T) over the classes,

        "pixel": T^2 / P   * sum over P valid pixels and C classes of p * (log p - log q)
        "mean":  T^2 / PC  * the same sum

    "mean" also divides by the number of classes, as PaddleSeg 2.8.0's KLLoss does, so that coefficients
    found with PaddleSeg stay good.

    With `logit_standardization`, both logits z of a pixel are standardised over the classes first, after Sun
    et al., "Logit Standardization in Knowledge Distillation", CVPR 2024, https://arxiv.org/abs/2403.01427:

        z' = (z - mean(z)) / sqrt(variance(z) + 1e-6)

    The student then learns how the classes of a pixel relate to one another, but not how large the teacher's
    logits are. The variance is the mean over the C classes of (z - mean)^2, as in the paper's algorithm; its
    code divides by C - 1, and adds 1e-7 to the root instead of 1e-6 to the variance.

    Args:
        student: logits, N x C x ... (N x C for one label a sample), floating.
        teacher: logits of the same shape. No gradient reaches them.
        label: N x ..., int64; its pixels of `ignore_index` are left out. N x H' x W' of another size is
            resized (see `resize_label`). None if all are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        temperature, reduction, logit_standardization: see `KLLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: shapes that do not match, a temperature that is not positive, an unknown reduction.
    """
    check_alike(student, teacher)
    check_positive("temperature", temperature)
    _check_reduction(reduction)
    if logit_standardization:
        student, teacher = standardized(student, axis=1), standardized(teacher.detach(), axis=1)
    divergence = kl_divergence(student, teacher, 1, temperature)
    if reduction == "mean":
        divergence = divergence / student.shape[1]
    valid = valid_mask(student, label, ignore_index)
    return mean_over((divergence * valid).sum(), valid.sum())


def _check_reduction(reduction):
    if reduction not in REDUCTIONS:
        raise UserError(f"unknown reduction {reduction!r}: it is one of {', '.join(map(repr, REDUCTIONS))}")


@manager.LOSSES.add_component
class KLLoss(MaskedLoss):
    """Divergence of the student's class distributions from the teacher's; see `kl_loss`.

    With its defaults it equals PaddleSeg 2.8.0's loss of that name.

    Args:
        temperature: T > 0, by which both logits are divided. Default 1.0.
        reduction: "mean" (over pixels and classes, PaddleSeg's) or "pixel" (summed over the classes,
            averaged over pixels, Hinton's: C times as large). Default "mean".
        logit_standardization: whether the logits of each pixel get mean 0 and standard deviation 1 before
            they are divided by T; the paper of this option takes T = 2. Default False.

    Raises:
        UserError: the temperature is not positive, or the reduction unknown.
    """

    function = staticmethod(kl_loss)

    def __init__(
        self,
        ignore_index: int = 255,
        temperature: float = 1.0,
        reduction: str = "mean",
        logit_standardization: bool = False,
    ):
        check_positive("temperature", temperature)
        _check_reduction(reduction)
        super().__init__(
            ignore_index=ignore_index,
            temperature=temperature,
            reduction=reduction,
            logit_standardization=logit_standardization,
        )
