"""Mixed precision: which operators compute in 16 bits, and the scale that preserves small gradients."""

import contextlib
import functools

import paddle

from paddleseg import parallel
from paddleseg.errors import UserError

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}
_SUPPORTED = {
    "fp16": ("is_float16_supported", "a GPU of compute capability 7.0 or higher"),
    "bf16": ("is_bfloat16_supported", "a GPU of compute capability 8.0 or higher and CUDA 11 or newer"),
}

# As in Paddle's and PyTorch's `GradScaler`.
FIRST_SCALE = 2.0**16
STEPS_TO_DOUBLE = 2000
# Gradients of zeros never overflow, so without a limit the scale would grow to infinity.
LARGEST_SCALE = 2.0**24


def check_precision(precision):
    """Raise `UserError` where the current device does not compute in this precision.

    Args:
        precision: "fp32", "fp16" or "bf16".
    """
    if precision not in DTYPES:
        return
    if parallel.on_cpu():
        raise UserError(
            f"precision {precision}: Paddle {paddle.__version__} computes mixed precision on GPUs alone, "
            f"and this run is on the CPU; use precision fp32"
        )
    asked, needed = _SUPPORTED[precision]
    if not getattr(paddle.amp, asked)():
        other = "bf16" if precision == "fp16" else "fp16"
        fit = getattr(paddle.amp, _SUPPORTED[other][0])()
        raise UserError(
            f"precision {precision}: it needs {needed}; use precision {f'{other} or ' if fit else ''}fp32"
        )


def autocast(precision, level):
    """Return `context()`, in which operators compute in `precision`; with fp32 it does nothing.

    O1 lowers convolutions and matrix products. O2 lowers all operators but those that Paddle lists as needing
    float32. The weights are float32 at both levels, and each operator lowers its own copy. So the weights
    that are updated, averaged and saved never have 16 bits.
    """
    if precision not in DTYPES:
        return contextlib.nullcontext
    return functools.partial(paddle.amp.auto_cast, level=level, dtype=DTYPES[precision])


def loss_scale(precision, state=None):
    """Return the `LossScale` of a training, continued from `state`; None where no scale is needed.

    bfloat16 has the range of float32, so small gradients do not vanish.
    """
    return LossScale(**(state or {})) if precision == "fp16" else None


class LossScale:
    """A factor on the loss that keeps float16 gradients from vanishing; it lives on the device.

    Micikevicius et al., "Mixed Precision Training", ICLR 2018, https://arxiv.org/abs/1710.03740. The scale is
    halved, down to 1, where the gradients overflow, and doubled, up to 2^24, after 2000 good steps in a row.
    A power of two rounds nothing. Paddle's own `GradScaler` is off on a CPU, and it reads the device in each
    step.

    Args:
        scale: the first scale. Default 2^16.
        good: good steps in a row so far. Default 0.
    """

    def __init__(self, scale=FIRST_SCALE, good=0):
        self._scale = paddle.to_tensor(scale, dtype="float32")
        self._good = paddle.to_tensor(good, dtype="float32")

    def scaled(self, loss):
        """Return a loss, a scalar tensor, times the scale."""
        return loss * self._scale

    @paddle.no_grad()
    def unscale(self, parameters):
        """Divide the gradients of a list of parameters by the scale, in place."""
        inverse = 1 / self._scale
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.multiply_(inverse.astype(parameter.grad.dtype))

    @paddle.no_grad()
    def update(self, losses_finite, gradients_finite):
        """Adapt the scale to how a step went.

        Args:
            losses_finite, gradients_finite: boolean scalar tensors, the same on all ranks. A loss that is not
                finite does not lower the scale.

        Returns:
            float32 scalar tensor: 1 where the scale was too large for the gradients, and is smaller now;
            never at a scale of 1.
        """
        overflow = paddle.logical_and(losses_finite, paddle.logical_not(gradients_finite))
        overflow = paddle.logical_and(overflow, self._scale > 1).astype("float32")
        good = paddle.logical_and(losses_finite, gradients_finite).astype("float32")
        self._good = (self._good + 1) * good
        enough = (self._good >= STEPS_TO_DOUBLE).astype("float32")
        self._good = self._good * (1 - enough)
        self._scale = (self._scale * (1 + enough) * (1 - overflow / 2)).clip(max=LARGEST_SCALE)
        return overflow

    def state(self):
        """Return the arguments that continue this scale, for JSON; reads the device."""
        return {"scale": float(self._scale), "good": int(self._good)}
