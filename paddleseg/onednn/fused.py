"""A frozen convolution, batch norm and ReLU as one convolution."""

import functools
import math
import weakref

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.onednn import convolution

# The `Folded` of each frozen convolution.
_FOLDED = weakref.WeakKeyDictionary()


def freeze(model):
    """Let `fused` fold the convolutions of a model, whose weights are not trained from now on.

    Weights that change later, by loading or averaging, are folded again; see `_content` for its limits.
    Called again, it frees what `fused` has folded. Layers of a class derived from `nn.Conv2D` stay as they
    are.
    """
    for layer in model.sublayers(include_self=True):
        if type(layer) in (nn.Conv2D, convolution.Conv2D):
            _FOLDED[layer] = Folded()


@paddle.jit.not_to_static
def fused(conv, norm, x, relu):
    """Return batch norm, and ReLU if `relu`, of a convolution of x, computed as one convolution; see `fold`.

    Args:
        conv, norm: an `nn.Conv2D` and an `nn.BatchNorm2D` behind it.
        x: N x C x H x W.
        relu: whether ReLU follows.

    Returns:
        N x O x H' x W'. None if the layers are not frozen, a gradient is wanted, a hook reads the map
        between the layers, or Paddle computes the convolution.
    """
    if not (can_fuse(conv, norm, x) and convolution.is_plain(x, conv.weight)):
        return None
    folded = functools.partial(folded_of, conv, norm)
    return convolution.folded_forward(x, conv, folded, relu)


def can_fuse(conv, norm, x):
    """Tell whether a convolution and batch norm are frozen, and nothing wants what is between them."""
    if conv not in _FOLDED or convolution.engine() != convolution.ONEDNN or not paddle.in_dynamic_mode():
        return False
    if type(norm) is not nn.BatchNorm2D or norm.training or norm._use_global_stats is False:
        return False  # statistics of the batch
    if convolution.wants_gradient(x, conv.weight, conv.bias, norm.weight, norm.bias):
        return False
    if conv._padding_mode != "zeros":
        return False
    return not any(
        layer._forward_pre_hooks or layer._forward_post_hooks or "forward" in vars(layer)
        for layer in (conv, norm)
    )


def folded_of(conv, norm, plan):
    """Return (`Packed` weight, bias) of layers that `can_fuse`, for a `Plan`."""
    return _FOLDED[conv].of(conv, norm, plan)


def fold(weight, bias, norm):
    """Return (weight, bias) of a convolution and the frozen batch norm behind it as one convolution.

    Frozen batch norm multiplies each channel by a constant and adds another one. So both go into the weight
    and the bias of the convolution (Jacob et al., https://arxiv.org/abs/1712.05877, 3.2).

    Args:
        weight: O x I x H x W of the convolution.
        bias: of O numbers; None for none.
        norm: an `nn.BatchNorm2D`, perhaps without weight or bias of its own.
    """
    own_scale = 1.0 if norm.weight is None else norm.weight
    scale = own_scale / paddle.sqrt(norm._variance + norm._epsilon)
    mean = norm._mean if bias is None else norm._mean - bias
    shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
    return weight * scale.reshape([-1, 1, 1, 1]), shift


class Folded:
    """The weight and the bias of a convolution and batch norm as one convolution, made when first needed."""

    def __init__(self):
        self._packed = self._bias = self._content = None

    def of(self, conv, norm, plan):
        """Return (`Packed` weight, bias) for a `Plan`; pack them again if layout or weights have changed."""
        content = _content(conv, norm)
        if content != self._content or not plan.takes(self._packed):
            weight, bias = fold(conv.weight, conv.bias, norm)
            self._packed = plan.pack(weight.data_ptr())
            self._bias = bias.detach()
            self._content = content
        return self._packed, self._bias


def _content(conv, norm):
    """Return bytes by which weights that were loaded, averaged or trained show.

    Paddle counts no version when `set_value` changes a tensor. To read every number in each call would take
    a few percent of the convolution's time. So of a kernel there is one number of each output channel, or
    two, from changing input channels; of all other tensors there is every number.
    """
    small = (conv.bias, norm.weight, norm.bias, norm._mean, norm._variance)
    _, inputs, *kernel = conv.weight.shape
    taps = math.prod(kernel)
    step = taps * max(inputs - 1, 1)
    return (_bytes(conv.weight, step), *(None if one is None else _bytes(one) for one in small))


def _bytes(tensor, step=1):
    """Return the bytes of each `step`-th number of a tensor on the CPU."""
    tensor, width = convolution.contiguous(tensor), tensor.element_size()
    return np.asarray(
        _Memory(tensor.data_ptr(), -(-math.prod(tensor.shape) // step), step * width, width)
    ).tobytes()


class _Memory:
    """`count` numbers of `width` bytes, `stride` bytes apart, which NumPy reads where they are."""

    def __init__(self, address, count, stride, width):
        self.__array_interface__ = {
            "version": 3,
            "data": (address, True),
            "shape": (count,),
            "strides": (stride,),
            "typestr": f"|V{width}",
        }
