"""Unified attention fusion modules (UAFM), which fuse a detailed map and a deep one.

Peng et al., "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model",
https://arxiv.org/abs/2204.02681, section 3.2.
"""

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.layers.conv import ConvBN, ConvBNLeakyReLU, ConvBNReLU, SeparableConvBNReLU
from paddleseg.models.layers.interpolate import interpolate
from paddleseg.models.layers.maximum import maximum


class UAFM(nn.Layer):
    """Fusion without attention: the sum of both maps.

    Maps x, N x x_ch x H x W, and y, N x y_ch x h x w, to N x out_ch x H x W.

    Args:
        x_ch, y_ch, out_ch: channels of the detailed map, of the deep map, and after the fusion.
        ksize: kernel size of the convolution from the channels of x to those of y.
        resize_mode: how y is resized to the size of x, as in `paddle.nn.functional.interpolate`.
    """

    block = ConvBNReLU

    def __init__(self, x_ch, y_ch, out_ch, ksize=3, resize_mode="bilinear"):
        super().__init__()
        self.conv_x = self.block(x_ch, y_ch, ksize, padding=ksize // 2, bias_attr=False)
        self.conv_out = self.block(y_ch, out_ch, 3, padding=1, bias_attr=False)
        self.resize_mode = resize_mode

    def fuse(self, x, y):
        """Return the fusion of two maps of the same shape."""
        return x + y

    def forward(self, x, y):
        x = self.conv_x(x)
        return self.conv_out(self.fuse(x, interpolate(y, x.shape[2:], mode=self.resize_mode)))


class AttentionUAFM(UAFM):
    """Fusion by a weight a between 0 and 1: a x + (1 - a) y. A derived class sets `conv_xy_atten`."""

    total = 1

    def statistics(self, x, y):
        """Return the tensor from which the weight is computed, of two maps of the same shape."""
        raise NotImplementedError(f"{type(self).__name__} must define statistics()")

    def fuse(self, x, y):
        weight = F.sigmoid(self.conv_xy_atten(self.statistics(x, y)))
        return x * weight + y * (self.total - weight)


class UAFM_ChAtten(AttentionUAFM):
    """Channel attention: a weight for each channel, from the means and maxima over all pixels."""

    num_statistics = 4

    def __init__(self, x_ch, y_ch, out_ch, ksize=3, resize_mode="bilinear"):
        super().__init__(x_ch, y_ch, out_ch, ksize, resize_mode)
        self.conv_xy_atten = nn.Sequential(
            ConvBNLeakyReLU(self.num_statistics * y_ch, y_ch // 2, 1, bias_attr=False),
            ConvBN(y_ch // 2, y_ch, 1, bias_attr=False),
        )

    def statistics(self, x, y):
        means = [F.adaptive_avg_pool2d(z, 1) for z in (x, y)]
        return paddle.concat([*means, *(F.adaptive_max_pool2d(z, 1) for z in (x, y))], axis=1)


class UAFM_ChAtten_S(UAFM_ChAtten):
    """`UAFM_ChAtten` from the means alone."""

    num_statistics = 2

    def statistics(self, x, y):
        return paddle.concat([F.adaptive_avg_pool2d(z, 1) for z in (x, y)], axis=1)


class SpatialUAFM(AttentionUAFM):
    """Spatial attention: a weight for each pixel, from the means and maxima over all channels."""

    num_statistics = 4

    def __init__(self, x_ch, y_ch, out_ch, ksize=3, resize_mode="bilinear"):
        super().__init__(x_ch, y_ch, out_ch, ksize, resize_mode)
        self.conv_xy_atten = nn.Sequential(
            ConvBNReLU(self.num_statistics, 2, 3, padding=1, bias_attr=False),
            ConvBN(2, 1, 3, padding=1, bias_attr=False),
        )

    def statistics(self, x, y):
        return paddle.concat(
            [one for z in (x, y) for one in (z.mean(axis=1, keepdim=True), maximum(z, axis=1))], axis=1
        )


class UAFM_SpAtten(SpatialUAFM):
    """`SpatialUAFM` whose two weights add up to a stored number, 1 in every published checkpoint."""

    def __init__(self, x_ch, y_ch, out_ch, ksize=3, resize_mode="bilinear"):
        super().__init__(x_ch, y_ch, out_ch, ksize, resize_mode)
        self._scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))
        self._scale.stop_gradient = True

    @property
    def total(self):
        return self._scale


class UAFM_SpAtten_S(SpatialUAFM):
    """Spatial attention from the means alone."""

    num_statistics = 2

    def statistics(self, x, y):
        return paddle.concat([z.mean(axis=1, keepdim=True) for z in (x, y)], axis=1)


class UAFMMobile(UAFM):
    """`UAFM` of depthwise separable convolutions."""

    block = SeparableConvBNReLU


class UAFMMobile_SpAtten(SpatialUAFM):
    """`SpatialUAFM` of depthwise separable convolutions."""

    block = SeparableConvBNReLU
