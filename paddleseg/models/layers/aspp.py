"""Atrous spatial pyramid pooling."""

import paddle
import paddle.nn as nn

from paddleseg.models.layers.conv import ConvBNReLU, SeparableConvBNReLU
from paddleseg.models.layers.interpolate import interpolate


class ASPPModule(nn.Layer):
    """Parallel atrous convolutions and an image-level feature, fused by a 1x1 convolution.

    Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
    https://arxiv.org/abs/1706.05587, with the separable convolutions of https://arxiv.org/abs/1802.02611.
    Maps N x in_channels x H x W to N x out_channels x H x W.

    Args:
        aspp_ratios: the dilation of each branch; a ratio of 1 is a plain 1x1 convolution.
        in_channels, out_channels: channels before and after.
        align_corners: as in `paddle.nn.functional.interpolate`.
        use_sep_conv: whether branches with a ratio above 1 are depthwise separable.
        image_pooling: whether the mean over the image is one more branch.
        data_format: "NCHW", or "NHWC" for maps N x H x W x C.
    """

    def __init__(
        self,
        aspp_ratios,
        in_channels,
        out_channels,
        align_corners,
        use_sep_conv=False,
        image_pooling=False,
        data_format="NCHW",
    ):
        super().__init__()
        self.align_corners = align_corners
        self.image_pooling = image_pooling
        self.data_format = data_format
        self.aspp_blocks = nn.LayerList(
            [self._branch(ratio, in_channels, out_channels, use_sep_conv) for ratio in aspp_ratios]
        )
        branches = len(aspp_ratios) + int(image_pooling)
        if image_pooling:
            self.global_avg_pool = nn.Sequential(
                nn.AdaptiveAvgPool2D(1, data_format=data_format),
                ConvBNReLU(in_channels, out_channels, 1, bias_attr=False, data_format=data_format),
            )
        self.conv_bn_relu = ConvBNReLU(branches * out_channels, out_channels, 1, data_format=data_format)
        self.dropout = nn.Dropout(0.1)

    def _branch(self, ratio, in_channels, out_channels, use_sep_conv):
        layout = {"data_format": self.data_format}
        if ratio == 1:
            return ConvBNReLU(in_channels, out_channels, 1, padding=0, **layout)
        conv = SeparableConvBNReLU if use_sep_conv else ConvBNReLU
        return conv(in_channels, out_channels, 3, dilation=ratio, padding=ratio, **layout)

    def forward(self, x):
        channels_first = self.data_format == "NCHW"
        size = x.shape[2:] if channels_first else x.shape[1:3]
        branches = [block(x) for block in self.aspp_blocks]
        if self.image_pooling:
            resize = {"mode": "bilinear", "align_corners": self.align_corners}
            mean = self.global_avg_pool(x)
            branches.append(interpolate(mean, size, data_format=self.data_format, **resize))
        return self.dropout(self.conv_bn_relu(paddle.concat(branches, axis=1 if channels_first else -1)))
