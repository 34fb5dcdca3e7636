"""Arithmetic of several distillation losses: divergence of distributions, vectors of unit length."""

import paddle
from paddle.autograd import PyLayer

# Its exponential is 0 beside that of any logit, and float32 can still subtract from it.
EXCLUDED = -1e30


def kl_divergence(student, teacher, axis, temperature=1.0, kept=None):
    """Return T^2 KL(softmax(teacher / T) || softmax(student / T)), summed over `axis`.

    Its relative error in float32 is of the order of 1e-6, also where the two are nearly the same over tens
    of thousands of outcomes.

    Args:
        student: logits, floating.
        teacher: logits of the same shape. No gradient reaches them.
        axis: the axis of the distributions, which the result no longer has.
        temperature: T > 0. Default 1.0.
        kept: a boolean tensor that can be broadcast to the logits: the outcomes that the distributions are
            over; None for all. Where it keeps none, the divergence is 0. Default None.
    """
    student, teacher = _restricted(student, kept), _restricted(teacher.detach(), kept)
    return _Divergence.apply(student, teacher, axis, temperature)


class _Divergence(PyLayer):
    """The divergence with its gradient, T (q - p), written out: both come from the same few passes.

    With y = log q - log p the sum of p * -y equals that of p * (exp(y) - 1 - y), as p and q sum to 1. Of the
    former, a rounding error of the normalisers is as large as the divergence of two near distributions; of
    the latter, which no term makes negative, it cancels. For the same reason y is made of the difference of
    the logits, and q - p of y.
    """

    @staticmethod
    def forward(ctx, student, teacher, axis, temperature):
        q, log_of_q = _softmax(student, axis, temperature)
        p, log_of_p = _softmax(teacher, axis, temperature)
        y = (student - teacher).scale_(1 / temperature) + (log_of_p - log_of_q)
        # Beyond 1 nothing cancels, and exp(y) may overflow where p underflows.
        difference = paddle.where(y < 1, p * paddle.expm1(y), q - p)
        # What rounding leaves of its sum, 0, is an error of the normalisers.
        gradient = difference - q * difference.sum(axis=axis, keepdim=True)
        ctx.save_for_backward(gradient)
        ctx.axis, ctx.temperature = axis, temperature
        return (difference - p * y).sum(axis=axis) * temperature**2

    @staticmethod
    def backward(ctx, grad):
        (gradient,) = ctx.saved_tensor()
        return gradient * (grad * ctx.temperature).unsqueeze(ctx.axis), None


def _softmax(logits, axis, temperature):
    """Return softmax(logits / T) and log sum exp(logits / T), of which `axis` has length 1."""
    top = logits.max(axis=axis, keepdim=True)
    powers = (logits - top).scale_(1 / temperature).exp_()
    total = powers.sum(axis=axis, keepdim=True)
    return powers / total, top / temperature + total.log()


def _restricted(logits, kept):
    return logits if kept is None else paddle.where(kept, logits, paddle.full_like(logits, EXCLUDED))


def unit(x, axis=None):
    """Return `x` divided by its L2 norm over `axis` (None: over the whole tensor).

    A vector of zeros stays one, with a finite gradient, where that of the norm itself has none.
    """
    squares = x.square().sum(axis=axis, keepdim=True)
    positive = squares > 0
    return x / paddle.where(positive, squares, paddle.ones_like(squares)).sqrt()
