"""Joint pyramid upsampling."""

import paddle
import paddle.nn as nn

from paddleseg.models.layers.conv import ConvBNReLU, SeparableConvBNReLU
from paddleseg.models.layers.interpolate import interpolate


class JPU(nn.Layer):
    """Fuses the last three maps of a backbone at the size of the largest one, instead of dilating it.

    Wu et al., "FastFCN: Rethinking Dilated Convolution in the Backbone for Semantic Segmentation",
    https://arxiv.org/abs/1903.11816. `forward` takes four maps or more, the finest first. It returns the
    first three of them and the fusion, N x 4 width x H x W with H and W of the last map but two.

    Args:
        in_channels: the channels of the maps; the last three count.
        width: the channels to which each of the three maps is reduced. Default 512.
    """

    def __init__(self, in_channels, width=512):
        super().__init__()
        self.conv5 = ConvBNReLU(in_channels[-1], width, 3, padding=1, bias_attr=False)
        self.conv4 = ConvBNReLU(in_channels[-2], width, 3, padding=1, bias_attr=False)
        self.conv3 = ConvBNReLU(in_channels[-3], width, 3, padding=1, bias_attr=False)
        self.dilation1 = self._branch(width, 1)
        self.dilation2 = self._branch(width, 2)
        self.dilation3 = self._branch(width, 4)
        self.dilation4 = self._branch(width, 8)

    @staticmethod
    def _branch(width, dilation):
        options = {"padding": dilation, "dilation": dilation, "bias_attr": False, "pointwise_bias": False}
        return SeparableConvBNReLU(3 * width, width, 3, **options)

    def forward(self, *inputs):
        finest = self.conv3(inputs[-3])
        others = [self.conv5(inputs[-1]), self.conv4(inputs[-2])]
        resize = {"size": finest.shape[2:], "mode": "bilinear", "align_corners": True}
        x = paddle.concat([*(interpolate(one, **resize) for one in others), finest], axis=1)
        branches = (self.dilation1, self.dilation2, self.dilation3, self.dilation4)
        fused = paddle.concat([branch(x) for branch in branches], axis=1)
        return (*inputs[:3], fused)
