"""Polarized self-attention."""

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.cvlibs import param_init


class PolarizedSelfAttentionModule(nn.Layer):
    """The sum of a map weighted by channel and the same map weighted by pixel.

    Liu et al., "Polarized Self-Attention", https://arxiv.org/abs/2107.00782, the parallel layout, without its
    layer norm. Maps N x inplanes x H x W to the same shape.

    Args:
        inplanes: channels of the map.
        planes: must be equal to `inplanes`; half as many carry the attention.
        kernel_size: has no effect; PaddleSeg's class takes it too.
        stride: of the convolutions that compute the attention; the weights by pixel need 1. Default 1.
    """

    def __init__(self, inplanes, planes, kernel_size=1, stride=1):
        super().__init__()
        self.inter_planes = planes // 2
        options = {"stride": stride, "bias_attr": False}
        self.conv_q_right = nn.Conv2D(inplanes, 1, 1, **options)
        self.conv_v_right = nn.Conv2D(inplanes, self.inter_planes, 1, **options)
        self.conv_up = nn.Conv2D(self.inter_planes, planes, 1, bias_attr=False)
        self.conv_q_left = nn.Conv2D(inplanes, self.inter_planes, 1, **options)
        self.conv_v_left = nn.Conv2D(inplanes, self.inter_planes, 1, **options)
        for conv in self.sublayers():
            param_init.kaiming_normal_init(conv.weight)

    def spatial_pool(self, x):
        """Return the map, each channel weighted by a mean over the pixels that attention has chosen."""
        value = self.conv_v_right(x).flatten(2)
        attention = F.softmax(self.conv_q_right(x).flatten(2), axis=2)
        context = paddle.matmul(value, attention, transpose_y=True)
        return x * F.sigmoid(self.conv_up(context.unsqueeze(-1)))

    def channel_pool(self, x):
        """Return the map, each pixel weighted by its likeness to the mean pixel."""
        mean = F.adaptive_avg_pool2d(self.conv_q_left(x), 1).flatten(2)
        value = self.conv_v_left(x)
        context = F.softmax(paddle.matmul(mean, value.flatten(2), transpose_x=True), axis=2)
        return x * F.sigmoid(context.reshape([0, 1, *value.shape[2:]]))

    def forward(self, x):
        return self.spatial_pool(x) + self.channel_pool(x)
