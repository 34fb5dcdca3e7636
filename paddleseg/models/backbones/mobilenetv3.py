"""MobileNetV3, large and small, and both with an output stride of 8.

Howard et al., "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244. Sublayer names are
PaddleSeg's, since published weights use them.
"""

from typing import NamedTuple, Optional

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.base import Backbone
from paddleseg.weights.load import load_weights

# Prefixes of the classifier's keys in the published ImageNet weights.
CLASSIFIER_PREFIXES = ("last_second_conv.", "last_conv.", "fc.")


class Block(NamedTuple):
    """A row of the paper's tables 1 and 2: k, exp size, #out, SE, NL, s."""

    kernel: int
    inner: int
    channels: int
    squeeze: bool
    activation: str
    stride: int


RELU, HARDSWISH = "relu", "hardswish"
LARGE = (
    Block(3, 16, 16, False, RELU, 1),
    Block(3, 64, 24, False, RELU, 2),
    Block(3, 72, 24, False, RELU, 1),
    Block(5, 72, 40, True, RELU, 2),
    Block(5, 120, 40, True, RELU, 1),
    Block(5, 120, 40, True, RELU, 1),
    Block(3, 240, 80, False, HARDSWISH, 2),
    Block(3, 200, 80, False, HARDSWISH, 1),
    Block(3, 184, 80, False, HARDSWISH, 1),
    Block(3, 184, 80, False, HARDSWISH, 1),
    Block(3, 480, 112, True, HARDSWISH, 1),
    Block(3, 672, 112, True, HARDSWISH, 1),
    Block(5, 672, 160, True, HARDSWISH, 2),
    Block(5, 960, 160, True, HARDSWISH, 1),
    Block(5, 960, 160, True, HARDSWISH, 1),
)
SMALL = (
    Block(3, 16, 16, True, RELU, 2),
    Block(3, 72, 24, False, RELU, 2),
    Block(3, 88, 24, False, RELU, 1),
    Block(5, 96, 40, True, HARDSWISH, 2),
    Block(5, 240, 40, True, HARDSWISH, 1),
    Block(5, 240, 40, True, HARDSWISH, 1),
    Block(5, 120, 48, True, HARDSWISH, 1),
    Block(5, 144, 48, True, HARDSWISH, 1),
    Block(5, 288, 96, True, HARDSWISH, 2),
    Block(5, 576, 96, True, HARDSWISH, 1),
    Block(5, 576, 96, True, HARDSWISH, 1),
)


def divisible(channels):
    """Return the multiple of 8 nearest to a number of channels, at least 8 and not below 9/10 of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class ConvBNLayer(nn.Layer):
    """Convolution without bias, batch norm without weight decay, and an activation.

    Args:
        in_channels, out_channels, kernel_size: as in `paddle.nn.Conv2D`.
        activation: name of a function of `paddle.nn.functional`; None for none.
        **conv: any other argument of `paddle.nn.Conv2D`.
    """

    def __init__(self, in_channels, out_channels, kernel_size, activation=None, **conv):
        super().__init__()
        self.conv = nn.Conv2D(in_channels, out_channels, kernel_size, bias_attr=False, **conv)
        undecayed = [paddle.ParamAttr(regularizer=paddle.regularizer.L2Decay(0.0)) for _ in range(2)]
        self.bn = nn.BatchNorm2D(out_channels, weight_attr=undecayed[0], bias_attr=undecayed[1])
        self._activation = getattr(F, activation) if activation else None

    def forward(self, x):
        x = self.bn(self.conv(x))
        return self._activation(x) if self._activation else x


class SEModule(nn.Layer):
    """Squeeze and excitation: a factor for each channel, computed from the channels' means over the image.

    Hu et al., https://arxiv.org/abs/1709.01507, with a hard sigmoid max(0, min(1, x / 5 + 1 / 2)).

    Args:
        channels: channels of the feature map.
        squeezed: channels between the two convolutions.
    """

    def __init__(self, channels, squeezed):
        super().__init__()
        self.conv1 = nn.Conv2D(channels, squeezed, 1)
        self.conv2 = nn.Conv2D(squeezed, channels, 1)

    def forward(self, x):
        factor = self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(factor, slope=0.2, offset=0.5)


class ResidualUnit(nn.Layer):
    """Expansion, depthwise convolution[, squeeze and excitation], linear projection[, shortcut].

    Args:
        block: a `Block`.
        in_channels, inner, out_channels: channels before, inside and after.
        stride, dilation: of the depthwise convolution.
        as_torchvision: whether a block that does not widen the map has no expansion, and the squeezed
            channels are a multiple of 8, instead of a quarter of `inner`.
    """

    def __init__(self, block, in_channels, inner, out_channels, stride, dilation, as_torchvision):
        super().__init__()
        self._expands = not (as_torchvision and in_channels == inner)
        if self._expands:
            self.expand_conv = ConvBNLayer(in_channels, inner, 1, block.activation)
        self.bottleneck_conv = ConvBNLayer(
            inner,
            inner,
            block.kernel,
            block.activation,
            stride=stride,
            padding=block.kernel // 2 * dilation,
            dilation=dilation,
            groups=inner,
        )
        if block.squeeze:
            self.mid_se = SEModule(inner, divisible(inner // 4) if as_torchvision else inner // 4)
        self.linear_conv = ConvBNLayer(inner, out_channels, 1)
        self._squeeze = block.squeeze
        self._shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x):
        y = self.bottleneck_conv(self.expand_conv(x) if self._expands else x)
        if self._squeeze:
            y = self.mid_se(y)
        y = self.linear_conv(y)
        return x + y if self._shortcut else y


class MobileNetV3(Backbone):
    """MobileNetV3, with four feature maps; see `Backbone` for the parameters.

    Maps N x in_channels x H x W to a list of four maps N x `feat_channels[i]` x H_i x W_i at strides 4, 8,
    16 and 32, or 4, 8, 8 and 8 with an output stride of 8, where dilation replaces the other strides.

    The form is PaddleSeg's. With torchvision's weights, or weights that were trained from these, it becomes
    torchvision's: no expansion in the first block, and a little wider squeezes.

    Attributes:
        table, returned: the blocks, and the indices of those that return a feature map.
        scale: factor on the channels.
        output_stride: 8 or 32.

    Raises:
        UserError: weights that do not match.
    """

    table = ()
    returned = ()
    scale = 1.0
    output_stride = 32

    def __init__(self, in_channels: int = 3, pretrained: Optional[str] = None):
        super().__init__()
        self.conv = ConvBNLayer(in_channels, divisible(16 * self.scale), 3, HARDSWISH, stride=2, padding=1)
        self._as_torchvision = False
        self.blocks = self._blocks()
        self.feat_channels = [divisible(self.table[i].channels * self.scale) for i in self.returned]
        if pretrained is not None:
            load_weights(self, pretrained, CLASSIFIER_PREFIXES)

    def _blocks(self):
        channels = divisible(16 * self.scale)
        units = []
        reached, dilation = 2, 1
        for block in self.table:
            stride = block.stride if reached * block.stride <= self.output_stride else 1
            inner, out_channels = divisible(block.inner * self.scale), divisible(block.channels * self.scale)
            units.append(
                ResidualUnit(block, channels, inner, out_channels, stride, dilation, self._as_torchvision)
            )
            # The dilation of all later blocks replaces a stride that is left out.
            dilation *= block.stride // stride
            reached *= stride
            channels = out_channels
        return nn.Sequential(*units)

    def follow(self, keys):
        """Take the form of weights named `keys`, PaddleSeg's or torchvision's; `load_weights` calls it."""
        if "blocks.0.linear_conv.conv.weight" not in keys:
            return
        as_torchvision = "blocks.0.expand_conv.conv.weight" not in keys
        if as_torchvision != self._as_torchvision:
            self._as_torchvision = as_torchvision
            self.blocks = self._blocks()

    def forward(self, x):
        x = self.conv(x)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.returned:
                features.append(x)
        return features


class MobileNetV3_small(MobileNetV3):
    """The small MobileNetV3."""

    table = SMALL
    returned = (0, 2, 7, 10)


class MobileNetV3_large(MobileNetV3):
    """The large MobileNetV3."""

    table = LARGE
    returned = (2, 5, 11, 14)


MobileNetV3_small_x0_35 = MobileNetV3_small.variant("MobileNetV3_small_x0_35", scale=0.35)
MobileNetV3_small_x0_5 = MobileNetV3_small.variant("MobileNetV3_small_x0_5", scale=0.5)
MobileNetV3_small_x0_75 = MobileNetV3_small.variant("MobileNetV3_small_x0_75", scale=0.75)
MobileNetV3_small_x1_0 = MobileNetV3_small.variant("MobileNetV3_small_x1_0", scale=1.0)
MobileNetV3_small_x1_25 = MobileNetV3_small.variant("MobileNetV3_small_x1_25", scale=1.25)
MobileNetV3_small_x1_0_os8 = MobileNetV3_small.variant("MobileNetV3_small_x1_0_os8", output_stride=8)

MobileNetV3_large_x0_35 = MobileNetV3_large.variant("MobileNetV3_large_x0_35", scale=0.35)
MobileNetV3_large_x0_5 = MobileNetV3_large.variant("MobileNetV3_large_x0_5", scale=0.5)
MobileNetV3_large_x0_75 = MobileNetV3_large.variant("MobileNetV3_large_x0_75", scale=0.75)
MobileNetV3_large_x1_0 = MobileNetV3_large.variant("MobileNetV3_large_x1_0", scale=1.0)
MobileNetV3_large_x1_25 = MobileNetV3_large.variant("MobileNetV3_large_x1_25", scale=1.25)
MobileNetV3_large_x1_0_os8 = MobileNetV3_large.variant("MobileNetV3_large_x1_0_os8", output_stride=8)
