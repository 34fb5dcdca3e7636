"""Arithmetic of several distillation losses: divergence of distributions, vectors of unit length."""

import paddle

from paddleseg.models.losses.common import log_softmax

# Its exponential is 0 beside that of any logit, and float32 can still subtract from it.
EXCLUDED = -1e30


def kl_divergence(student, teacher, axis, temperature=1.0, kept=None):
    """Return T^2 KL(softmax(teacher / T) || softmax(student / T)), summed over `axis`.

    Args:
        student: logits, floating.
        teacher: logits of the same shape. No gradient reaches them.
        axis: the axis of the distributions, which the result no longer has.
        temperature: T > 0. Default 1.0.
        kept: a boolean tensor that can be broadcast to the logits: the outcomes that the distributions are
            over; None for all. Where it keeps none, the divergence is 0. Default None.
    """
    with paddle.no_grad():
        log_p = log_softmax(_restricted(teacher / temperature, kept), axis=axis)
        p = log_p.exp()
    # No logarithm of p or q themselves: either may underflow to 0.
    log_q = log_softmax(_restricted(student / temperature, kept), axis=axis)
    return (p * (log_p - log_q)).sum(axis=axis) * temperature**2


def _restricted(logits, kept):
    return logits if kept is None else paddle.where(kept, logits, paddle.full_like(logits, EXCLUDED))


def unit(x, axis=None):
    """Return `x` divided by its L2 norm over `axis` (None: over the whole tensor).

    A vector of zeros stays one, with a finite gradient, where that of the norm itself has none.
    """
    squares = x.square().sum(axis=axis, keepdim=True)
    positive = squares > 0
    return x / paddle.where(positive, squares, paddle.ones_like(squares)).sqrt()
