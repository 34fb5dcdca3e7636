"""A frozen convolution, batch norm and ReLU as one convolution."""

import weakref

import paddle
import paddle.nn as nn

from paddleseg.onednn import convolution

# The folded weight and bias of each convolution, and the state of the tensors that they were made of.
_FOLDED = weakref.WeakKeyDictionary()


def fused(conv, norm, x, relu):
    """Return batch norm, and ReLU if `relu`, of a convolution of x, computed as one convolution.

    Batch norm scales and shifts each channel by constants once it is frozen, so its constants go into the
    weight and the bias of the convolution (Jacob et al., https://arxiv.org/abs/1712.05877, 3.2).

    Args:
        conv, norm: an `nn.Conv2D` and an `nn.BatchNorm2D` behind it.
        x: N x C x H x W.
        relu: whether ReLU follows.

    Returns:
        N x O x H' x W'; None where this does not apply: the layers are not frozen, a gradient may be
        wanted, hooks see the map in between, or Paddle computes the convolution.
    """
    if convolution.engine() != convolution.ONEDNN or paddle.is_grad_enabled() or not paddle.in_dynamic_mode():
        return None
    if not (
        _is_frozen(conv, norm) and convolution.is_plain(x, conv.weight) and conv._padding_mode == "zeros"
    ):
        return None
    weight, bias = _folded(conv, norm)
    return convolution.forward(
        x, weight, bias, conv._stride, conv._padding, conv._dilation, conv._groups, relu
    )


def _is_frozen(conv, norm):
    if norm.training or not isinstance(conv, nn.Conv2D) or type(norm) is not nn.BatchNorm2D:
        return False
    tensors = (conv.weight, norm.weight, norm.bias)
    if any(tensor is None or not tensor.stop_gradient for tensor in tensors):
        return False
    return not any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in (conv, norm))


def _folded(conv, norm):
    """Return the weight and the bias of the one convolution, computed again when a tensor has changed."""
    tensors = [conv.weight, norm.weight, norm.bias, norm._mean, norm._variance]
    tensors += [] if conv.bias is None else [conv.bias]
    state = tuple((tensor.data_ptr(), tensor.inplace_version) for tensor in tensors)
    if conv not in _FOLDED or _FOLDED[conv][0] != state:
        scale = norm.weight / paddle.sqrt(norm._variance + norm._epsilon)
        mean = norm._mean if conv.bias is None else norm._mean - conv.bias
        folded = conv.weight * scale.reshape([-1, 1, 1, 1]), norm.bias - mean * scale
        _FOLDED[conv] = (state, *(tensor.detach() for tensor in folded))
    return _FOLDED[conv][1:]
