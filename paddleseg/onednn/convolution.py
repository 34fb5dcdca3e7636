"""`conv2d` as Paddle has it, computed by oneDNN where a fixed rule of the shape says that it is faster."""

import contextlib
import os

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.errors import UserError, suggestion
from paddleseg.onednn import library
from paddleseg.onednn.gradients import computed, contiguous, differentiable
from paddleseg.onednn.plans import PLANS, Shape

AUTO, PADDLE, ONEDNN = "auto", "paddle", "onednn"
ENGINES = (AUTO, PADDLE, ONEDNN)
_NO_AUTOCAST = paddle.base.core.AmpLevel.O0

# The engine of `AUTO`, for tests and for users who want Paddle's convolutions everywhere.
VARIABLE = "PADDLESEG_CONV_ENGINE"

_chosen = None


def use_engine(name):
    """Choose what computes the convolutions of this process, and return "paddle" or "onednn".

    Args:
        name: "paddle"; "onednn"; or "auto", which is the environment's PADDLESEG_CONV_ENGINE, and without it
            onednn where it can be used, else paddle.

    Raises:
        UserError: there is no such engine, or onednn cannot be used here.
    """
    global _chosen
    where = "conv_engine"
    if name == AUTO and VARIABLE in os.environ:
        where, name = VARIABLE, os.environ[VARIABLE]
    if name not in ENGINES:
        raise UserError(f"{where}: unknown engine {name!r}; {suggestion(name, ENGINES)}")
    reason = None if name == PADDLE else library.why_not()
    if name == ONEDNN and reason:
        raise UserError(f"{where} {ONEDNN}: {reason}; use {PADDLE} or {AUTO}")
    _chosen = PADDLE if name == PADDLE or reason else ONEDNN
    return _chosen


def engine():
    """Return what computes the convolutions of this process, "paddle" or "onednn"; by default as "auto"."""
    return _chosen or use_engine(AUTO)


@contextlib.contextmanager
def paddle_alone():
    """Let Paddle compute the convolutions of this context.

    `paddle.grad` at a tensor inside a model needs it: it wants no gradients of the weights behind the tensor,
    and refuses a `PyLayer` that returns them, which cannot know.
    """
    global _chosen
    chosen, _chosen = _chosen, PADDLE
    try:
        yield
    finally:
        _chosen = chosen


def adopt(model):
    """Let the `nn.Conv2D` layers of a model compute by `conv2d`; return the model.

    Weights, names and hooks stay. Layers of a class derived from `nn.Conv2D` are left as they are.
    """
    for layer in model.sublayers(include_self=True):
        if type(layer) is nn.Conv2D:
            layer.__class__ = Conv2D
    return model


class Conv2D(nn.Conv2D):
    """`paddle.nn.Conv2D`, with the engine that `use_engine` has chosen."""

    def forward(self, x):
        """Return N x O x H' x W' of x, N x C x H x W."""
        if engine() == PADDLE or self._padding_mode != "zeros" or self._data_format != "NCHW":
            return nn.Conv2D.forward(self, x)
        return conv2d(x, self.weight, self.bias, self._stride, self._padding, self._dilation, self._groups)


@paddle.jit.not_to_static
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Return the convolution of x, N x C x H x W, as `paddle.nn.functional.conv2d` does.

    oneDNN computes float32 tensors on the CPU, in dynamic mode and outside autocast, of the shapes that
    `worthwhile` names; Paddle computes all others.

    Args:
        x, weight, bias, stride, padding, dilation, groups: as Paddle takes them.
    """
    geometry = None
    if engine() == ONEDNN and paddle.in_dynamic_mode() and is_plain(x, weight, bias):
        geometry = _geometry(x.shape, weight.shape, stride, padding, dilation)
    if geometry is None:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    with_gradient = wants_gradient(x, weight)
    adds_bias = bias is not None and (with_gradient or wants_gradient(bias))
    fuses_bias = bias is not None and not adds_bias
    shape = Shape(tuple(x.shape), tuple(weight.shape), *geometry, groups, fuses_bias)
    if not (shape.fits and worthwhile(shape, with_gradient)):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    y = differentiable(x, weight, shape) if with_gradient else computed(x, weight, bias, shape)
    return y + bias.reshape([1, -1, 1, 1]) if adds_bias else y


def folded_forward(x, conv, folded, relu):
    """Return the convolution of x, which `is_plain`, with ReLU if `relu`; None for other cases.

    Without gradients, for all shapes.

    Args:
        x: N x C x H x W.
        conv: an `nn.Conv2D`, whose geometry counts.
        folded: `folded(plan) -> (Packed, bias)`, the weight and bias to compute with.
        relu: whether ReLU follows.
    """
    shape = folded_shape(x.shape, conv, relu=relu)
    if shape is None:
        return None
    x, y = contiguous(x), paddle.empty(shape.y, x.dtype)
    with PLANS.of(shape) as plan:
        weight, bias = folded(plan)
        plan.forward_packed(x.data_ptr(), weight, bias.data_ptr(), y.data_ptr())
    return y


def folded_shape(x, conv, **after):
    """Return the `Shape` of a convolution with a bias, of maps of shape x; None if it does not fit.

    Args:
        x: (N, C, H, W).
        conv: an `nn.Conv2D`, whose geometry counts.
        **after: `adds` and `relu` of the `Shape`.
    """
    geometry = _geometry(x, conv.weight.shape, conv._stride, conv._padding, conv._dilation)
    if geometry is None:
        return None
    shape = Shape(tuple(x), tuple(conv.weight.shape), *geometry, conv._groups, bias=True, **after)
    return shape if shape.fits else None


def worthwhile(shape, with_gradient):
    """Tell whether oneDNN computes a shape faster than Paddle. A fixed rule: a run must be repeatable.

    Measured on a core of an AMD EPYC (Zen 4):

    - 1 x 1 kernels are a product of matrices, at which MKL is faster: a whole step took 1.39 s with MKL's and
      1.50 s with oneDNN's.
    - The gradient of dilated depthwise kernels is slower by 1.1 to 2.3 on maps that the dilation does not
      pass. Without gradients they are faster by 5.

    Args:
        shape: a `Shape`.
        with_gradient: whether a gradient will be computed.
    """
    if shape.weight[2:] == (1, 1):
        return False
    depthwise = shape.groups > 1 and shape.groups == shape.x[1]
    return not (with_gradient and depthwise and max(shape.dilation) > 1 and not shape.centre_only)


def wants_gradient(*tensors):
    """Tell whether a gradient of some of these tensors is wanted; a tensor may be None."""
    return paddle.is_grad_enabled() and any(one is not None and not one.stop_gradient for one in tensors)


def is_plain(x, weight, bias=None):
    """Tell whether tensors `are_plain` and have the numbers of axes that a convolution takes."""
    if len(x.shape) != 4 or len(weight.shape) != 4 or (bias is not None and bias.shape != weight.shape[:1]):
        return False
    return are_plain(*((x, weight) if bias is None else (x, weight, bias)))


def are_plain(*tensors):
    """Tell whether tensors are float32 on the CPU, not empty, outside autocast."""
    if any(one.dtype != paddle.float32 or not one.place.is_cpu_place() or 0 in one.shape for one in tensors):
        return False
    tracer = paddle.base.framework._dygraph_tracer()
    return tracer is None or tracer._amp_level == _NO_AUTOCAST


def _geometry(x, weight, stride, padding, dilation):
    """Return (strides, dilation, pads) of a `Shape`; None for what Paddle takes in another way."""
    strides, dilation = _pair(stride), _pair(dilation)
    if len(strides) != 2 or len(dilation) != 2:
        return None
    if isinstance(padding, str):
        if padding.upper() == "VALID":
            return strides, dilation, ((0, 0), (0, 0))
        if padding.upper() != "SAME" or dilation != (1, 1):  # Paddle's SAME knows no dilation
            return None
        pads = [_same(*axis) for axis in zip(x[2:], weight[2:], strides)]
        return strides, dilation, tuple(zip(*pads))
    pads = _pair(padding)
    if len(pads) == 2 and all(isinstance(pad, int) for pad in pads):
        return strides, dilation, (pads, pads)
    if len(pads) == 4 and all(isinstance(pad, int) for pad in pads):
        top, bottom, left, right = pads
        return strides, dilation, ((top, left), (bottom, right))
    return None


def _same(length, kernel, stride):
    """Return what is padded before and after an axis, so that the output has ceil(length / stride)."""
    missing = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return missing // 2, missing - missing // 2


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)
