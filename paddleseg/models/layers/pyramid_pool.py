"""Pyramid pooling: means over regions of several sizes as the context of a pixel."""

import paddle
import paddle.nn as nn

from paddleseg.models.layers.conv import ConvBNReLU
from paddleseg.models.layers.interpolate import interpolate


class PooledStages(nn.Layer):
    """A pooled copy of a feature map for each bin size, convolved and resized to the size of the map.

    Args:
        in_channels, inter_channels: channels of the map and of each copy.
        bin_sizes: a size of n averages over n x n regions.
        align_corners: as in `paddle.nn.functional.interpolate`.
    """

    def __init__(self, in_channels, inter_channels, bin_sizes, align_corners):
        super().__init__()
        self.align_corners = align_corners
        self.stages = nn.LayerList(
            [
                nn.Sequential(nn.AdaptiveAvgPool2D(size), ConvBNReLU(in_channels, inter_channels, 1))
                for size in bin_sizes
            ]
        )

    def copies(self, x):
        """Return the list of copies, N x inter_channels x H x W, of a map N x in_channels x H x W."""
        return [
            interpolate(stage(x), x.shape[2:], mode="bilinear", align_corners=self.align_corners)
            for stage in self.stages
        ]


class PPModule(PooledStages):
    """Pyramid pooling module: the map and its pooled copies, concatenated, through a 3x3 convolution.

    Zhao et al., "Pyramid Scene Parsing Network", https://arxiv.org/abs/1612.01105. Maps
    N x in_channels x H x W to N x out_channels x H x W.

    Args:
        in_channels, out_channels: channels before and after.
        bin_sizes, align_corners: as in `PooledStages`.
        dim_reduction: whether all copies together have as many channels as the map has, as in the paper;
            without it, each copy has as many.
    """

    def __init__(self, in_channels, out_channels, bin_sizes, dim_reduction, align_corners):
        inter_channels = in_channels // len(bin_sizes) if dim_reduction else in_channels
        super().__init__(in_channels, inter_channels, bin_sizes, align_corners)
        joined = in_channels + inter_channels * len(bin_sizes)
        self.conv_bn_relu2 = ConvBNReLU(joined, out_channels, 3, padding=1)

    def forward(self, x):
        # The order of published weights: from the last bin size to the first.
        return self.conv_bn_relu2(paddle.concat([x, *self.copies(x)[::-1]], axis=1))


class PPContextModule(PooledStages):
    """Simple pyramid pooling module (SPPM): the sum of the pooled copies, through a 3x3 convolution.

    Peng et al., "PP-LiteSeg", https://arxiv.org/abs/2204.02681. Maps N x in_channels x H x W to
    N x out_channels x H x W.

    Args:
        in_channels, out_channels: channels before and after; the copies have `out_channels` as well.
        bin_sizes: as in `PooledStages`.
    """

    def __init__(self, in_channels, out_channels, bin_sizes):
        super().__init__(in_channels, out_channels, bin_sizes, align_corners=False)
        self.conv_out = ConvBNReLU(out_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv_out(sum(self.copies(x)))
