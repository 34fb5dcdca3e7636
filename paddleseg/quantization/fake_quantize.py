"""Fake quantisation: float tensors that hold only what 8 bits can hold, and still have a gradient.

The one quanter of Paddle 3.3's `paddle.quantization` does not serve. It has no zero point, so maps behind a
ReLU would lose one bit of eight, and one scale for all channels of a weight. `convert` fails on it.
"""

import paddle
from paddle.autograd import PyLayer

ACTIVATION_STEPS = 255  # of a uint8 with a zero point
WEIGHT_STEPS = 127  # of an int8 to either side of 0


def fake_quantize_activation(x, low, high):
    """Return x rounded to the 256 values of a uint8 between `low` and `high`, and cut off outside.

    Jacob et al., https://arxiv.org/abs/1712.05877, section 3. The range is widened to hold 0, and moved by
    less than a step so that 0 is one of the values: with s = (high - low) / 255 and z = round(-low / s),
    y = s (clip(round(x / s) + z, 0, 255) - z).

    The gradient of y by x is 1 between the least and the greatest of these values, and 0 outside.

    Args:
        x: a float32 tensor of any shape.
        low, high: float32 tensors of one number, without a gradient.
    """
    step = activation_step(low, high)
    zero = paddle.round(-paddle.clip(low, max=0.0) / step)
    return _RoundedInside.apply(x, step, -zero * step, (ACTIVATION_STEPS - zero) * step)


def activation_step(low, high):
    """Return the step s of `fake_quantize_activation`."""
    return _nonzero((paddle.clip(high, min=0.0) - paddle.clip(low, max=0.0)) / ACTIVATION_STEPS)


def fake_quantize_weight(weight):
    """Return a weight rounded to the 255 values of a symmetric int8, with a step for each output channel.

    y = s round(w / s), with s = `weight_step(weight)`. The gradient of y by w is 1.

    Args:
        weight: float32 O x I x H x W.
    """
    return _rounded(weight, weight_step(weight))


def weight_step(weight):
    """Return the largest absolute weight of each output channel / 127, O x 1 x 1 x 1."""
    return _nonzero(weight.detach().abs().max(axis=[1, 2, 3], keepdim=True) / WEIGHT_STEPS)


def fake_quantize_bias(bias, input_step, weight_step):
    """Return a bias rounded to multiples of a product's step, with gradient 1; its 32 bits cut nothing off.

    Args:
        bias: float32 of O numbers.
        input_step: `activation_step` of the convolution's input.
        weight_step: `weight_step` of its weight.
    """
    return _rounded(bias, input_step * weight_step.flatten())


def _nonzero(step):
    """Return a step that can divide: 1 where all values are 0."""
    return paddle.where(step > 0, step, paddle.ones_like(step))


def _rounded(x, step):
    """Return x rounded to a multiple of `step`; its gradient by x is 1 (the straight-through estimator)."""
    return _Rounded.apply(x, step)


# Each of these is one operation with one gradient. As chains of Paddle's operations, whose every gradient is
# a pass over the map, they took most of a training step on a CPU.
class _Rounded(PyLayer):
    @staticmethod
    def forward(ctx, x, step):
        return _multiple(x, step)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class _RoundedInside(PyLayer):
    """`_Rounded` of x cut off at two ends, outside of which the gradient is 0."""

    @staticmethod
    def forward(ctx, x, step, lowest, highest):
        inside = paddle.clip(x, lowest, highest)
        ctx.save_for_backward(inside == x)
        return _multiple(inside, step)

    @staticmethod
    def backward(ctx, gradient):
        (inside,) = ctx.saved_tensor()
        return gradient * inside.astype(gradient.dtype), None, None, None


def _multiple(x, step):
    return (x / step).round_().multiply_(step)
