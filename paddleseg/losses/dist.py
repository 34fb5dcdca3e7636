"""DIST: correlation with the teacher, within each pixel and within each class."""

import paddle

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import check_alike, check_not_negative, check_positive
from paddleseg.losses.common import full_precision, log_softmax, mean_over
from paddleseg.losses.labels import valid_mask

# A deviation from the mean below this share of the vector's length is float32's rounding error.
SMALLEST_DEVIATION = 1e-6


@full_precision
def dist_loss(student, teacher, label=None, ignore_index=255, beta=1.0, gamma=1.0, temperature=1.0):
    """Return the lack of linear correlation between the class probabilities of teacher and student.

    Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
    https://arxiv.org/abs/2205.10536. With the rows of P = softmax(student / T) and Q = softmax(teacher / T)
    over the C classes, one for each of the M valid pixels of the batch,

        r(x, y) = sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y| + 1e-8)
        loss = beta  * T^2 * (1 - 1/M sum over the rows of r(P[i, :], Q[i, :]))
             + gamma * T^2 * (1 - 1/C sum over the classes of r(P[:, c], Q[:, c]))

    The columns run over all valid pixels of the batch, not over those of one image. The r of a constant row
    or column is 0, with zero gradient. With two classes, every other row has an r of 1 or -1, but for the
    1e-8. So the rows have next to no gradient, and only the columns teach.

    Args:
        student: logits, N x C x ... (N x C for one label a sample), floating.
        teacher: logits of the same shape. No gradient reaches them.
        label: N x ..., int64; pixels of `ignore_index` are left out (the published code has none).
            N x H' x W' of another size is resized (see `resize_label`). None if all are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        beta, gamma, temperature: see `DISTLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: shapes that do not match, a hyperparameter out of its range.
    """
    check_alike(student, teacher)
    _check(beta, gamma, temperature)
    valid = valid_mask(student, label, ignore_index).reshape([student.shape[0], 1, -1])
    ours = _probabilities(student, temperature)
    with paddle.no_grad():
        theirs = _probabilities(teacher, temperature)
    rows = _correlation(ours, theirs, [1], paddle.ones_like(valid))
    columns = _correlation(ours, theirs, [0, 2], valid)
    count = valid.sum()
    row_loss = 1 - mean_over((rows * valid).sum(), count)
    column_loss = 1 - columns.mean()
    loss = (beta * row_loss + gamma * column_loss) * temperature**2
    return loss * (count > 0).astype(loss.dtype)


def _probabilities(logits, temperature):
    """Return softmax(logits / T) as N x C x L."""
    log_p = log_softmax(logits / temperature, axis=1)
    return log_p.exp().reshape([*logits.shape[:2], -1])


def _correlation(x, y, axis, weight):
    """Return Pearson's r over `axis`, which stays with length 1; `weight`, of 0 and 1, broadcasts to `x`."""
    ours, our_length, ours_vary = _deviation(x, axis, weight)
    theirs, their_length, theirs_vary = _deviation(y, axis, weight)
    r = (ours * theirs).sum(axis=axis, keepdim=True) / (our_length * their_length + 1e-8)
    return paddle.where(ours_vary & theirs_vary, r, paddle.zeros_like(r))


def _deviation(x, axis, weight):
    """Return the weighted deviation of `x` from its mean over `axis`, its length, and whether it varies."""
    weight = weight.expand_as(x)
    count = weight.sum(axis=axis, keepdim=True).clip(min=1)
    deviation = (x - (x * weight).sum(axis=axis, keepdim=True) / count) * weight
    squares = deviation.square().sum(axis=axis, keepdim=True)
    varies = squares > SMALLEST_DEVIATION**2 * (x.square() * weight).sum(axis=axis, keepdim=True)
    # At 0 the square root has no gradient, and near 0 an unbounded one.
    return deviation, paddle.where(varies, squares, paddle.ones_like(squares)).sqrt(), varies


def _check(beta, gamma, temperature):
    check_not_negative("beta", beta)
    check_not_negative("gamma", gamma)
    check_positive("temperature", temperature)


@manager.LOSSES.add_component
class DISTLoss(MaskedLoss):
    """Correlation of the class probabilities of student and teacher; see `dist_loss`.

    Args:
        beta: weight of the rows (relation between the classes of a pixel), 0 or above. Default 1.0.
        gamma: weight of the columns (relation between the pixels of a class), 0 or above. Default 1.0.
        temperature: T > 0, by which both logits are divided. Default 1.0.

    Raises:
        UserError: a weight is negative, or the temperature not positive.
    """

    function = staticmethod(dist_loss)

    def __init__(
        self, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0, ignore_index: int = 255
    ):
        _check(beta, gamma, temperature)
        super().__init__(beta=beta, gamma=gamma, temperature=temperature, ignore_index=ignore_index)
