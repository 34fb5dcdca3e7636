"""Channel-wise distillation: where in the picture each channel is active."""

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.losses.common import check_alike, check_temperature, full_precision, log_softmax


@full_precision
def channelwise_loss(student, teacher, temperature=4.0):
    """Return the mean over samples and channels of T^2 KL(p || q), p and q spread over the positions.

    Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021,
    https://arxiv.org/abs/2011.13256. Each channel is made a distribution over all of its H * W
    positions, p = softmax(teacher / T) and q = softmax(student / T), and

        loss = T^2 / NC * sum over N samples, C channels and all positions of p * (log p - log q)

    PaddleSeg's loss of this name differs: its softmax runs over the width alone, each row being a
    distribution of its own, and it has no temperature. Coefficients do not carry over from there.

    Args:
        student: features or logits, floating; float16 and bfloat16 are computed in float32.
            N x C x H x W (or N x C x any axes of positions); N x C x L is C channels of L positions,
            N x L a single channel of L positions.
        teacher: the same shape. No gradient reaches it.
        temperature: T > 0; a higher one takes more positions into account. Default 4.0, the paper's.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs).

    Raises:
        UserError: the shapes differ or have a single axis, or the temperature is not positive.
    """
    check_alike(student, teacher)
    check_temperature(temperature)
    with paddle.no_grad():
        log_p = log_softmax(_positions_last(teacher) / temperature, axis=-1)
        p = log_p.exp()
    log_q = log_softmax(_positions_last(student) / temperature, axis=-1)
    divergence = (p * (log_p - log_q)).sum(axis=-1)
    return divergence.mean() * temperature**2


def _positions_last(x):
    """Return `x` with its positions in one last axis: N x L as it is, else N x C x L."""
    return x if len(x.shape) == 2 else x.flatten(start_axis=2)


@manager.LOSSES.add_component
class SegChannelwiseLoss(nn.Layer):
    """Channel-wise distillation of features or logits, as in its paper; see `channelwise_loss`.

    PaddleSeg's loss of this name takes the softmax over the width only, without a temperature.

    Args:
        temperature: T > 0, by which both inputs are divided. Default 4.0.

    Raises:
        UserError: the temperature is not positive.
    """

    against = "teacher"

    def __init__(self, temperature: float = 4.0):
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, student, teacher):
        """Return the loss, a scalar, of two tensors of one shape, N x C x H x W or N x [C x] L."""
        return channelwise_loss(student, teacher, self.temperature)
