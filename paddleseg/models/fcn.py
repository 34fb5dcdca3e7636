"""FCN: a classifier for each pixel of a feature map."""

from typing import Optional, Sequence

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_counts, stage_channels
from paddleseg.models.layers import ConvBNReLU


@manager.MODELS.add_component
class FCN(SegmentationModel):
    """FCN: backbone, a 1x1 convolution, and a classifier.

    Shelhamer et al., "Fully Convolutional Networks for Semantic Segmentation",
    https://arxiv.org/abs/1411.4038, in the plain form that PaddleSeg uses on an HRNet or a dilated backbone.
    Keys, arithmetic and constructor are PaddleSeg's. `forward` gives one output; see `SegmentationModel`.

    Args:
        backbone_indices: which one of the backbone's maps is classified.
        channels: channels between the two convolutions; None for those of the feature map.
        bias: whether the two convolutions have a bias.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, channels below 1, weights that do not
            match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int] = (-1,),
        channels: Optional[int] = None,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
        bias: bool = True,
    ):
        super().__init__(backbone, align_corners)
        (in_channels,) = stage_channels(backbone, backbone_indices, 1)
        channels = in_channels if channels is None else channels
        check_counts("channels", channels)
        self.head = FCNHead(num_classes, backbone_indices, in_channels, channels, bias)
        self.load(pretrained)


class FCNHead(nn.Layer):
    """Two 1x1 convolutions: a list of feature maps to a list of one map of logits.

    Args:
        num_classes, backbone_indices, channels, bias: as in `FCN`.
        in_channels: channels of the map that `backbone_indices` names.
    """

    def __init__(self, num_classes, backbone_indices, in_channels, channels, bias):
        super().__init__()
        attributes = {"weight_attr": nn.initializer.Normal(std=0.001), "bias_attr": bias}
        self.conv_1 = ConvBNReLU(in_channels, channels, 1, **attributes)
        self.cls = nn.Conv2D(channels, num_classes, 1, **attributes)
        (self._index,) = backbone_indices

    def forward(self, features):
        return [self.cls(self.conv_1(features[self._index]))]
