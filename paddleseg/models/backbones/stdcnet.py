"""STDC networks.

Fan et al., "Rethinking BiSeNet For Real-time Semantic Segmentation", https://arxiv.org/abs/2104.13188.
Sublayer names are PaddleSeg's, since published weights use them.
"""

from typing import Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.errors import UserError
from paddleseg.models.base import Backbone
from paddleseg.weights.load import load_weights

# Prefixes of the classifier's keys in the published ImageNet weights.
CLASSIFIER_PREFIXES = ("conv_last.", "fc.", "bn.", "linear.")


def conv_bn(in_channels, out_channels, kernel_size, relative_lr, **conv):
    """Return a convolution without bias, padded to keep the size, and a batch norm."""
    kernel = paddle.ParamAttr(initializer=nn.initializer.Normal(std=0.001), learning_rate=relative_lr)
    weight, bias = (paddle.ParamAttr(learning_rate=relative_lr) for _ in range(2))
    return (
        nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            weight_attr=kernel,
            bias_attr=False,
            **conv,
        ),
        nn.BatchNorm2D(out_channels, weight_attr=weight, bias_attr=bias),
    )


class ConvBNReLU(nn.Layer):
    """Convolution without bias, batch norm, ReLU.

    Args:
        in_channels, out_channels, kernel_size, stride: as in `paddle.nn.Conv2D`.
        relative_lr: factor on the learning rate.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, relative_lr=1.0):
        super().__init__()
        self.conv, self.bn = conv_bn(in_channels, out_channels, kernel_size, relative_lr, stride=stride)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class CatBottleneck(nn.Layer):
    """Short-term dense concatenation: a sequence of ever narrower convolutions, all outputs concatenated.

    Args:
        in_channels, out_channels: channels of the input, and of all outputs together.
        block_num: number of convolutions, at least 2.
        stride: 1, or 2 to halve the size.
        relative_lr: factor on the learning rate.
    """

    def __init__(self, in_channels, out_channels, block_num, stride, relative_lr):
        super().__init__()
        # The last two widths are equal, so that the sum is out_channels.
        widths = [out_channels // 2 ** min(i + 1, block_num - 1) for i in range(block_num)]
        before = [in_channels, *widths[:-1]]
        self.conv_list = nn.LayerList(
            [
                ConvBNReLU(one, two, 1 if i == 0 else 3, relative_lr=relative_lr)
                for i, (one, two) in enumerate(zip(before, widths))
            ]
        )
        self._halves = stride == 2
        if self._halves:
            self.avd_layer = nn.Sequential(
                *conv_bn(widths[0], widths[0], 3, relative_lr, stride=2, groups=widths[0])
            )

    def forward(self, x):
        first, *others = self.conv_list
        x = first(x)
        outputs = [F.avg_pool2d(x, 3, stride=2, padding=1) if self._halves else x]
        if self._halves:
            x = self.avd_layer(x)
        for conv in others:
            x = conv(x)
            outputs.append(x)
        return paddle.concat(outputs, axis=1)


class STDCNet(Backbone):
    """STDC network, with a feature map of each stride; see `Backbone` for the other parameters.

    Maps N x in_channels x H x W to a list of five maps N x `feat_channels[i]` x H_i x W_i at strides 2, 4, 8,
    16 and 32.

    Args:
        block_num: number of convolutions in each block; 4 in the paper.
        relative_lr: factor on the learning rate of all parameters.

    Attributes:
        depths: number of blocks at strides 8, 16 and 32.

    Raises:
        UserError: fewer than two convolutions in a block, a negative factor, weights that do not match.
    """

    base = 64
    depths: Sequence[int] = ()

    def __init__(
        self,
        block_num: int = 4,
        relative_lr: float = 1.0,
        in_channels: int = 3,
        pretrained: Optional[str] = None,
    ):
        super().__init__()
        if block_num < 2:
            raise UserError(f"block_num must be 2 or above, not {block_num}")
        if not relative_lr >= 0:
            raise UserError(f"relative_lr must be 0 or above, not {relative_lr}")
        self.feat_channels = [self.base // 2, self.base, *(self.base * 2**i for i in (2, 3, 4))]
        half, quarter, *deeper = self.feat_channels
        features = [
            ConvBNReLU(in_channels, half, 3, stride=2, relative_lr=relative_lr),
            ConvBNReLU(half, quarter, 3, stride=2, relative_lr=relative_lr),
        ]
        self._last_of_stages = [0, 1]
        channels = quarter
        for depth, width in zip(self.depths, deeper):
            for i in range(depth):
                stride = 2 if i == 0 else 1
                features.append(CatBottleneck(channels, width, block_num, stride, relative_lr))
                channels = width
            self._last_of_stages.append(len(features) - 1)
        self.features = nn.Sequential(*features)
        if pretrained is not None:
            load_weights(self, pretrained, CLASSIFIER_PREFIXES)

    def forward(self, x):
        maps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self._last_of_stages:
                maps.append(x)
        return maps


STDC1 = STDCNet.variant("STDC1", depths=(2, 2, 2))
STDC2 = STDCNet.variant("STDC2", depths=(4, 5, 3))
