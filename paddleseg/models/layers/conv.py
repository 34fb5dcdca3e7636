"""Convolution blocks whose sublayer names are those of PaddleSeg's published checkpoints."""

import contextlib

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg import onednn


class ConvBN(nn.Layer):
    """A convolution followed by batch norm: N x in x H x W to N x out x H' x W'.

    In published checkpoints the convolution has a bias, which batch norm subtracts again. To add it would
    take longer than some convolutions. Instead only the running mean takes account of it, so that
    weights, statistics and output are the same.

    Args:
        in_channels, out_channels, kernel_size, padding: as in `paddle.nn.Conv2D`. `padding` is "same" by
            default, as much as keeps the size of the map.
        add_bias: whether to add the bias all the same. The output is then rounded as PaddleSeg's, which
            matters if a softmax of large numbers magnifies the rounding. Default False.
        **conv: any other argument of `paddle.nn.Conv2D`. With `data_format="NHWC"` maps are N x H x W x C.
    """

    def __init__(self, in_channels, out_channels, kernel_size, padding="same", *, add_bias=False, **conv):
        super().__init__()
        self._add_bias = add_bias
        self._conv = nn.Conv2D(in_channels, out_channels, kernel_size, padding=padding, **conv)
        self._batch_norm = nn.BatchNorm2D(out_channels, data_format=conv.get("data_format", "NCHW"))

    def forward(self, x):
        return self._conv_bn(x, relu=False)

    def _conv_bn(self, x, relu):
        conv, norm = self._conv, self._batch_norm
        y = onednn.fused(conv, norm, x, relu) if conv._data_format == "NCHW" else None
        if y is not None:
            return y
        if not self._add_bias and _bias_cancels(conv, norm):
            y = onednn.conv2d(x, conv.weight, None, conv._stride, conv._padding, conv._dilation, conv._groups)
            y = _normalized(y, conv.bias, norm)
        else:
            y = norm(conv(x))
        return F.relu(y) if relu else y


def _bias_cancels(conv, norm):
    """Return whether batch norm cancels a convolution's bias, and nothing else sees the map in between."""
    if conv.bias is None or type(conv) not in (nn.Conv2D, onednn.Conv2D) or type(norm) is not nn.BatchNorm2D:
        return False
    if (
        conv._data_format != "NCHW"
        or norm._use_global_stats
        or not (norm.training or not paddle.is_grad_enabled())
    ):
        return False  # not the statistics of this batch: the bias has a gradient
    seen = any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in (conv, norm))
    # An export keeps the two layers, for tools that fuse them.
    return not seen and conv._padding_mode == "zeros" and paddle.in_dynamic_mode()


def _normalized(x, bias, norm):
    """Return `norm(x + bias)`, N x C x H x W, of a batch norm in training mode, or without gradients."""
    # Level O2 of mixed precision would lower these sums to 16 bits.
    with _full_precision(norm, x):
        # The running statistics are those of x + bias; x itself has another mean.
        mean = (norm._mean - bias).detach()
        # A gradient of 0 for the bias; without a gradient, an optimizer would not decay it.
        shift = norm.bias + 0 * bias
    x = F.batch_norm(
        x,
        mean,
        norm._variance,
        norm.weight,
        shift,
        training=norm.training,
        momentum=norm._momentum,
        epsilon=norm._epsilon,
    )
    if norm.training:
        with paddle.no_grad(), _full_precision(norm, x):
            paddle.assign(mean + bias, output=norm._mean)
    return x


def _full_precision(norm, x):
    """Return a context without mixed precision; an empty one if the map's type shows that there is none."""
    lowered = x.dtype != norm._mean.dtype
    return paddle.amp.auto_cast(enable=False) if lowered else contextlib.nullcontext()


class ConvBNReLU(ConvBN):
    """`ConvBN` followed by ReLU."""

    def forward(self, x):
        return self._conv_bn(x, relu=True)


class ConvBNLeakyReLU(ConvBN):
    """`ConvBN` followed by a leaky ReLU of slope 0.01."""

    def forward(self, x):
        return F.leaky_relu(ConvBN.forward(self, x), 0.01)


class SeparableConvBNReLU(nn.Layer):
    """A depthwise `ConvBN`, then a pointwise `ConvBNReLU`.

    Args:
        in_channels, out_channels, kernel_size: of the two together.
        padding, **depthwise: as in `ConvBN`, for the depthwise convolution.
        pointwise_bias: the `bias_attr` of the pointwise convolution; False for none. Default: a bias.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, padding="same", pointwise_bias=None, **depthwise
    ):
        super().__init__()
        self.depthwise_conv = ConvBN(
            in_channels, in_channels, kernel_size, padding, groups=in_channels, **depthwise
        )
        # Misspelt in every published checkpoint, so misspelt here.
        self.piontwise_conv = ConvBNReLU(
            *(in_channels, out_channels, 1),
            data_format=depthwise.get("data_format", "NCHW"),
            bias_attr=pointwise_bias,
        )

    def forward(self, x):
        return self.piontwise_conv(self.depthwise_conv(x))


class DepthwiseConvBN(nn.Layer):
    """A `ConvBN` whose filters see one channel each: N x in x H x W to N x out x H' x W'.

    Args:
        in_channels, kernel_size, padding, **conv: as in `ConvBN`.
        out_channels: a multiple of `in_channels`.
    """

    def __init__(self, in_channels, out_channels, kernel_size, padding="same", **conv):
        super().__init__()
        self.depthwise_conv = ConvBN(
            in_channels, out_channels, kernel_size, padding, groups=in_channels, **conv
        )

    def forward(self, x):
        return self.depthwise_conv(x)


class AuxLayer(nn.Layer):
    """Logits from an intermediate feature map, for deep supervision: 3x3 convolution, dropout, 1x1.

    Zhao et al., "Pyramid Scene Parsing Network", https://arxiv.org/abs/1612.01105, section 3.3.
    Maps N x in_channels x H x W to N x out_channels x H x W.

    Args:
        in_channels, inter_channels, out_channels: channels before, between and after the convolutions.
        dropout_prob: rate of the dropout.
        **conv: any other argument of the 3x3 `paddle.nn.Conv2D`, such as `bias_attr`.
    """

    def __init__(self, in_channels, inter_channels, out_channels, dropout_prob=0.1, **conv):
        super().__init__()
        self.conv_bn_relu = ConvBNReLU(in_channels, inter_channels, 3, padding=1, **conv)
        self.dropout = nn.Dropout(dropout_prob)
        self.conv = nn.Conv2D(inter_channels, out_channels, 1)

    def forward(self, x):
        return self.conv(self.dropout(self.conv_bn_relu(x)))
