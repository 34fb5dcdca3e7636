"""Layers that compute in float what an INT8 file computes: convolutions with batch norm, and activations."""

import math

import paddle
import paddle.nn as nn
from paddle.autograd import PyLayer

from paddleseg import onednn
from paddleseg.errors import UserError
from paddleseg.quantization.fake_quantize import (
    activation_step,
    fake_quantize_activation,
    fake_quantize_bias,
    fake_quantize_weight,
    weight_step,
)

MOMENTUM = 0.99  # of the running ranges


class ActivationRange(nn.Layer):
    """A tensor of activations, fake-quantised to the range that the layer has seen.

    While it calibrates, the range grows to hold each tensor, which is returned as it is. In training, the
    range follows the extremes of each batch, r = 0.99 r + 0.01 extreme. In evaluation it stays.

    Args:
        limits: (low, high) that the range never passes, such as (0, inf) in front of a ReLU: a range that
            begins at 0 cuts off what the ReLU would. Default none.

    Attributes:
        low, high: the range, float32 tensors of one number, at first 0; part of the state dict.
        calibrating: whether the layer calibrates. Default False.
    """

    def __init__(self, limits=(-math.inf, math.inf)):
        super().__init__()
        self.register_buffer("low", paddle.zeros([1]))
        self.register_buffer("high", paddle.zeros([1]))
        self.limits = limits
        self.calibrating = False

    def forward(self, x):
        """Return a tensor of any shape, float32, in the same shape."""
        if self.calibrating:
            low, high = self._extremes(x)
            self._set(paddle.minimum(self.low, low), paddle.maximum(self.high, high))
            return x
        if self.training:
            low, high = self._extremes(x)
            self._set(
                *(MOMENTUM * r + (1 - MOMENTUM) * now for r, now in ((self.low, low), (self.high, high)))
            )
        return fake_quantize_activation(x, self.low, self.high)

    def _extremes(self, x):
        # A range holds 0, since a convolution pads with it.
        low, high = x.detach().min().reshape([1]), x.detach().max().reshape([1])
        least, most = self.limits
        return paddle.clip(low, least, 0.0), paddle.clip(high, 0.0, most)

    @paddle.no_grad()
    def _set(self, low, high):
        paddle.assign(low, output=self.low)
        paddle.assign(high, output=self.high)


class FakeQuantizedConv2D(nn.Conv2D):
    """A convolution whose input, weight, bias and output are fake-quantised, with the batch norm behind it.

    `onednn.fold` puts the batch norm into weight and bias. The running statistics of the batch norm stay as
    they are, and its factor and shift are trained.

    `take` gives an `nn.Conv2D` this class. Its weights keep their names, and the ranges join them.
    """

    @classmethod
    def take(cls, conv, norm, input_range, quantises, limits, name=""):
        """Give a convolution this class, and its batch norm the class `FoldedNorm`.

        Args:
            conv: an `nn.Conv2D` that pads with zeros, in NCHW.
            norm: the batch norm that reads its output; None for none.
            input_range: the `ActivationRange` of the input; None for a new one.
            quantises: whether the input is fake-quantised here, and not where it is computed.
            limits: of the output's `ActivationRange`.
            name: of the convolution, for messages. Default "".
        """
        conv.__class__ = cls
        if input_range is None:
            input_range = conv.input_range = ActivationRange()
        conv.output_range = ActivationRange(limits)
        for layer in conv.sublayers():  # new layers are in training mode
            layer.training = conv.training
        # In tuples, in which Paddle does not see layers: they are registered elsewhere.
        conv._source_ranges = (input_range,)
        conv._norms = () if norm is None else (norm,)
        conv._quantises_input = quantises
        conv._name_in_model = name
        if norm is not None:
            norm.__class__ = FoldedNorm

    @property
    def source_range(self):
        """The `ActivationRange` of the input, which may be another convolution's."""
        return self._source_ranges[0]

    def forward(self, x):
        """Return N x O x H' x W' of x, N x C x H x W.

        Raises:
            UserError: a tap reads the map between convolution and batch norm, which is not computed.
        """
        if self._norms and (self._forward_post_hooks or self._norms[0]._forward_pre_hooks):
            raise UserError(
                f"a tap reads the output of the convolution {self._name_in_model!r}, which fake quantisation "
                f"computes as one with the batch norm behind it; tap the output of the batch norm"
            )
        if self._quantises_input:
            x = self.source_range(x)
        weight, bias = self._folded()
        if not self.output_range.calibrating:
            if bias is not None:
                input_step = activation_step(self.source_range.low, self.source_range.high)
                bias = fake_quantize_bias(bias, input_step, weight_step(weight))
            weight = fake_quantize_weight(weight)
        y = onednn.conv2d(x, weight, None, self._stride, self._padding, self._dilation, self._groups)
        return self.output_range(y if bias is None else _BiasAdded.apply(y, bias))

    def _folded(self):
        """Return weight and bias of the convolution and its batch norm as one convolution."""
        weight, bias = self.weight, self.bias
        for norm in self._norms:
            weight, bias = onednn.fold(weight, bias, norm)
        return weight, bias


class FoldedNorm(nn.Layer):
    """A batch norm that the convolution in front of it has computed already."""

    def forward(self, x):
        """Return x."""
        return x


class _BiasAdded(PyLayer):
    """The sum of a map and a bias. Paddle's addition of so different shapes takes five times as long."""

    @staticmethod
    def forward(ctx, x, bias):
        ctx.wanted = not x.stop_gradient, not bias.stop_gradient
        return x + bias.reshape([1, -1, 1, 1]).expand_as(x)

    @staticmethod
    def backward(ctx, gradient):
        of_x, of_bias = ctx.wanted  # Paddle demands None for what needs no gradient
        return gradient if of_x else None, gradient.flatten(2).sum(axis=2).sum(axis=0) if of_bias else None


def ranges(model):
    """Return the `ActivationRange` layers of a model."""
    return [layer for layer in model.sublayers() if isinstance(layer, ActivationRange)]
