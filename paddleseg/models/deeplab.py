"""DeepLabV3 and DeepLabV3+."""

from typing import Optional, Sequence

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_counts, stage_channels
from paddleseg.models.layers import ASPPModule, ConvBNReLU, SeparableConvBNReLU
from paddleseg.models.layers.interpolate import interpolate


@manager.MODELS.add_component
class DeepLabV3(SegmentationModel):
    """DeepLabV3: backbone, ASPP of full convolutions, and a classifier.

    Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
    https://arxiv.org/abs/1706.05587. Keys, arithmetic and constructor are PaddleSeg's. `forward` gives one
    output; see `SegmentationModel`.

    Args:
        backbone_indices: which one of the backbone's maps is the input of the ASPP.
        aspp_ratios: dilations of the ASPP. The default suits an output stride of 16, and (1, 12, 24, 36)
            suits 8.
        aspp_out_channels: channels after the ASPP, before the classifier.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, ratios or channels below 1,
            weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int] = (3,),
        aspp_ratios: Sequence[int] = (1, 6, 12, 18),
        aspp_out_channels: int = 256,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        (channels,) = stage_channels(backbone, backbone_indices, 1)
        check_counts("aspp_ratios", aspp_ratios)
        check_counts("aspp_out_channels", aspp_out_channels)
        self.head = DeepLabV3Head(
            num_classes, backbone_indices, channels, aspp_ratios, aspp_out_channels, align_corners
        )
        self.load(pretrained)


class DeepLabV3Head(nn.Layer):
    """ASPP and classifier: a list of feature maps to a list of one map of logits.

    Args:
        num_classes, backbone_indices, aspp_ratios, aspp_out_channels, align_corners: as in `DeepLabV3`.
        in_channels: channels of the map that `backbone_indices` names.
    """

    def __init__(
        self, num_classes, backbone_indices, in_channels, aspp_ratios, aspp_out_channels, align_corners
    ):
        super().__init__()
        self.aspp = ASPPModule(aspp_ratios, in_channels, aspp_out_channels, align_corners, image_pooling=True)
        self.cls = nn.Conv2D(aspp_out_channels, num_classes, 1)
        (self._index,) = backbone_indices

    def forward(self, features):
        return [self.cls(self.aspp(features[self._index]))]


@manager.MODELS.add_component
class DeepLabV3P(SegmentationModel):
    """DeepLabV3+: backbone, ASPP, and a decoder that adds low-level detail.

    Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
    https://arxiv.org/abs/1802.02611. Keys, arithmetic and constructor are PaddleSeg's. `forward` gives one
    output; see `SegmentationModel`.

    Args:
        backbone_indices: which two of the backbone's maps are the low-level map and the input of the ASPP.
        aspp_ratios: dilations of the ASPP. The default suits an output stride of 16, and (1, 12, 24, 36)
            suits 8.
        aspp_out_channels: channels after the ASPP, before the decoder.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, ratios or channels below 1,
            weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int] = (0, 3),
        aspp_ratios: Sequence[int] = (1, 6, 12, 18),
        aspp_out_channels: int = 256,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        channels = stage_channels(backbone, backbone_indices, 2)
        check_counts("aspp_ratios", aspp_ratios)
        check_counts("aspp_out_channels", aspp_out_channels)
        self.head = DeepLabV3PHead(
            num_classes, backbone_indices, channels, aspp_ratios, aspp_out_channels, align_corners
        )
        self.load(pretrained)


class DeepLabV3PHead(nn.Layer):
    """ASPP and decoder: a list of feature maps to a list of one map of logits, of the low-level map's size.

    Args:
        num_classes, backbone_indices, aspp_ratios, aspp_out_channels, align_corners: as in `DeepLabV3P`.
        backbone_channels: channels of the two maps that `backbone_indices` names.
    """

    def __init__(
        self, num_classes, backbone_indices, backbone_channels, aspp_ratios, aspp_out_channels, align_corners
    ):
        super().__init__()
        low_channels, high_channels = backbone_channels
        self.aspp = ASPPModule(
            aspp_ratios,
            high_channels,
            aspp_out_channels,
            align_corners,
            use_sep_conv=True,
            image_pooling=True,
        )
        self.decoder = Decoder(num_classes, low_channels, aspp_out_channels, align_corners)
        self.backbone_indices = list(backbone_indices)

    def forward(self, features):
        low, high = (features[i] for i in self.backbone_indices)
        return [self.decoder(self.aspp(high), low)]


class Decoder(nn.Layer):
    """The ASPP's map, upsampled, and 48 channels from the low-level map, to logits.

    Args:
        num_classes: channels of the logits.
        low_channels, aspp_channels: channels of the two inputs.
        align_corners: as in `paddle.nn.functional.interpolate`.
    """

    def __init__(self, num_classes, low_channels, aspp_channels, align_corners):
        super().__init__()
        self.align_corners = align_corners
        self.conv_bn_relu1 = ConvBNReLU(low_channels, 48, 1)
        self.conv_bn_relu2 = SeparableConvBNReLU(aspp_channels + 48, 256, 3, padding=1)
        self.conv_bn_relu3 = SeparableConvBNReLU(256, 256, 3, padding=1)
        self.conv = nn.Conv2D(256, num_classes, 1)

    def forward(self, x, low):
        low = self.conv_bn_relu1(low)
        x = interpolate(x, low.shape[2:], mode="bilinear", align_corners=self.align_corners)
        x = paddle.concat([x, low], axis=1)
        return self.conv(self.conv_bn_relu3(self.conv_bn_relu2(x)))
