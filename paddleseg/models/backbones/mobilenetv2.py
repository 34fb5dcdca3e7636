"""MobileNetV2.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", https://arxiv.org/abs/1801.04381.
Sublayer names are PaddleSeg's, since published weights use them.
"""

from typing import Optional

import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.base import Backbone
from paddleseg.models.layers import ConvBN
from paddleseg.weights.load import load_weights

# Of each stage: expansion of its blocks, channels, number of blocks, stride of the first one.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# The last stage of each stride from 4 to 32; its output is a feature map.
RETURNED = (1, 2, 4, 6)
# Prefixes of the classifier's keys in the published ImageNet weights.
CLASSIFIER_PREFIXES = ("conv9.", "out.")


class InvertedResidual(nn.Layer):
    """Pointwise expansion, depthwise 3x3, linear pointwise projection[, shortcut].

    Args:
        in_channels, out_channels: channels before and after.
        expansion: channels inside, as a multiple of `in_channels`.
        stride: of the depthwise convolution.
        shortcut: whether the input is added.
    """

    def __init__(self, in_channels, out_channels, expansion, stride, shortcut):
        super().__init__()
        inner = in_channels * expansion
        self._expand_conv = ConvBN(in_channels, inner, 1, bias_attr=False)
        self._bottleneck_conv = ConvBN(
            inner, inner, 3, stride=stride, padding=1, groups=inner, bias_attr=False
        )
        self._linear_conv = ConvBN(inner, out_channels, 1, bias_attr=False)
        self._shortcut = shortcut

    def forward(self, x):
        y = F.relu6(self._expand_conv(x))
        y = self._linear_conv(F.relu6(self._bottleneck_conv(y)))
        return x + y if self._shortcut else y


class Stage(nn.Layer):
    """A sequence of blocks. The first may change channels and size; the others have a shortcut.

    Args:
        name: prefix of the keys of all blocks but the first.
        in_channels, out_channels, expansion, stride: of the first block.
        depth: number of blocks.
    """

    def __init__(self, name, in_channels, out_channels, expansion, depth, stride):
        super().__init__()
        self._first_block = InvertedResidual(in_channels, out_channels, expansion, stride, shortcut=False)
        self._others = [f"{name}_{i}" for i in range(2, depth + 1)]
        for other in self._others:
            block = InvertedResidual(out_channels, out_channels, expansion, stride=1, shortcut=True)
            self.add_sublayer(other, block)

    def forward(self, x):
        x = self._first_block(x)
        for other in self._others:
            x = getattr(self, other)(x)
        return x


class MobileNetV2(Backbone):
    """MobileNetV2, with a feature map of each stride from 4 on; see `Backbone` for the parameters.

    Maps N x in_channels x H x W to a list of four maps N x `feat_channels[i]` x H_i x W_i at strides 4, 8,
    16 and 32.

    Attributes:
        scale: factor on the channels.

    Raises:
        UserError: weights that do not match.
    """

    scale = 1.0

    def __init__(self, in_channels: int = 3, pretrained: Optional[str] = None):
        super().__init__()
        channels = int(32 * self.scale)
        self.conv1 = ConvBN(in_channels, channels, 3, stride=2, padding=1, bias_attr=False)
        self.feat_channels = []
        for i, (expansion, width, depth, stride) in enumerate(STAGES):
            name = f"conv{i + 2}"
            out_channels = int(width * self.scale)
            self.add_sublayer(name, Stage(name, channels, out_channels, expansion, depth, stride))
            channels = out_channels
            if i in RETURNED:
                self.feat_channels.append(channels)
        if pretrained is not None:
            load_weights(self, pretrained, CLASSIFIER_PREFIXES)

    def forward(self, x):
        x = F.relu6(self.conv1(x))
        features = []
        for i in range(len(STAGES)):
            x = getattr(self, f"conv{i + 2}")(x)
            if i in RETURNED:
                features.append(x)
        return features


MobileNetV2_x0_25 = MobileNetV2.variant("MobileNetV2_x0_25", scale=0.25)
MobileNetV2_x0_5 = MobileNetV2.variant("MobileNetV2_x0_5", scale=0.5)
MobileNetV2_x0_75 = MobileNetV2.variant("MobileNetV2_x0_75", scale=0.75)
MobileNetV2_x1_0 = MobileNetV2.variant("MobileNetV2_x1_0", scale=1.0)
MobileNetV2_x1_5 = MobileNetV2.variant("MobileNetV2_x1_5", scale=1.5)
MobileNetV2_x2_0 = MobileNetV2.variant("MobileNetV2_x2_0", scale=2.0)
