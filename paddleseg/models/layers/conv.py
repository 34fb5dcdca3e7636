"""Convolution blocks whose sublayer names are those of PaddleSeg's published checkpoints."""

import paddle.nn as nn
import paddle.nn.functional as F


class ConvBN(nn.Layer):
    """A convolution followed by batch norm: N x in x H x W to N x out x H' x W'.

    Args:
        in_channels, out_channels, kernel_size: as in `paddle.nn.Conv2D`.
        **conv: any other argument of `paddle.nn.Conv2D`; `padding` is "same" unless given.
    """

    def __init__(self, in_channels, out_channels, kernel_size, **conv):
        super().__init__()
        conv.setdefault("padding", "same")
        self._conv = nn.Conv2D(in_channels, out_channels, kernel_size, **conv)
        self._batch_norm = nn.BatchNorm2D(out_channels)

    def forward(self, x):
        return self._batch_norm(self._conv(x))


class ConvBNReLU(ConvBN):
    """`ConvBN` followed by ReLU."""

    def forward(self, x):
        return F.relu(super().forward(x))


class ConvBNLeakyReLU(ConvBN):
    """`ConvBN` followed by a leaky ReLU of slope 0.01."""

    def forward(self, x):
        return F.leaky_relu(super().forward(x), 0.01)


class SeparableConvBNReLU(nn.Layer):
    """A depthwise `ConvBN`, then a pointwise `ConvBNReLU`.

    Args:
        in_channels, out_channels, kernel_size: of the two together.
        **depthwise: any other argument of the depthwise `paddle.nn.Conv2D` (`dilation`, `padding`).
    """

    def __init__(self, in_channels, out_channels, kernel_size, **depthwise):
        super().__init__()
        self.depthwise_conv = ConvBN(in_channels, in_channels, kernel_size, groups=in_channels, **depthwise)
        # Misspelt in every published checkpoint, so misspelt here.
        self.piontwise_conv = ConvBNReLU(in_channels, out_channels, 1)

    def forward(self, x):
        return self.piontwise_conv(self.depthwise_conv(x))
