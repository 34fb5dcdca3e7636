"""UPerNet."""

import math
from typing import Optional, Sequence

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_counts, check_dropout, stage_channels
from paddleseg.models.layers import AuxLayer, ConvBNReLU, PPModule
from paddleseg.models.layers.interpolate import interpolate

# Which of the chosen feature maps is the input of the auxiliary classifier.
AUXILIARY_LEVEL = 2


@manager.MODELS.add_component
class UPerNet(SegmentationModel):
    """UPerNet: backbone, pyramid pooling on its deepest map, and a feature pyramid down to its finest.

    Xiao et al., "Unified Perceptual Parsing for Scene Understanding", https://arxiv.org/abs/1807.10221.
    Keys, arithmetic and constructor are PaddleSeg's. `forward` gives the main output and, if enabled, the
    auxiliary one, in training and in evaluation; see `SegmentationModel`.

    Args:
        backbone_indices: which of the backbone's maps make the pyramid, the finest first: four in the paper,
            at least two, at least three with an auxiliary loss.
        channels: channels of every level of the pyramid.
        enable_auxiliary_loss: whether there is an auxiliary output, from the third of the maps.
        align_corners: as in `paddle.nn.functional.interpolate`, for the logits; the head always aligns them.
        dropout_prob: dropout of the auxiliary classifier.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, channels below 1, a dropout rate out of
            range, weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int],
        channels: int = 512,
        enable_auxiliary_loss: bool = False,
        align_corners: bool = False,
        dropout_prob: float = 0.1,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        fewest = AUXILIARY_LEVEL + 1 if enable_auxiliary_loss else 2
        in_channels = stage_channels(backbone, backbone_indices, fewest, most=math.inf)
        check_counts("channels", channels)
        check_dropout("dropout_prob", dropout_prob)
        self.backbone_indices = list(backbone_indices)
        self.head = UPerNetHead(num_classes, in_channels, channels, dropout_prob, enable_auxiliary_loss)
        self.load(pretrained)

    def decode(self, features):
        return self.head([features[i] for i in self.backbone_indices])


class UPerNetHead(nn.Layer):
    """Pyramid pooling, feature pyramid and classifiers: the chosen maps to one or two maps of logits.

    Args:
        num_classes, channels, dropout_prob, enable_auxiliary_loss: as in `UPerNet`.
        in_channels: channels of the maps, the finest first.
    """

    def __init__(self, num_classes, in_channels, channels, dropout_prob, enable_auxiliary_loss):
        super().__init__()
        levels = len(in_channels)
        self.ppm = PPModule(in_channels[-1], channels, (1, 2, 3, 6), dim_reduction=True, align_corners=True)
        self.lateral_convs = nn.LayerList([ConvBNReLU(own, channels, 1) for own in in_channels[:-1]])
        self.fpn_convs = nn.LayerList(
            [ConvBNReLU(channels, channels, 3, bias_attr=False) for _ in in_channels[:-1]]
        )
        if enable_auxiliary_loss:
            own = in_channels[AUXILIARY_LEVEL]
            self.aux_head = AuxLayer(own, own, num_classes, dropout_prob)
        self._has_auxiliary = enable_auxiliary_loss
        self.fpn_bottleneck = ConvBNReLU(levels * channels, channels, 3, padding=1)
        # Part of every published checkpoint, and of no forward pass. Data parallelism would wait for the
        # gradient of a parameter that never gets one.
        self.conv_last = nn.Sequential(
            ConvBNReLU(levels * channels, channels, 3, bias_attr=False), nn.Conv2D(channels, num_classes, 1)
        )
        for parameter in self.conv_last.parameters():
            parameter.stop_gradient = True
        self.conv_seg = nn.Conv2D(channels, num_classes, 1)

    def forward(self, maps):
        logits = [self.conv_seg(self.fpn_bottleneck(self._pyramid(maps)))]
        return [*logits, self.aux_head(maps[AUXILIARY_LEVEL])] if self._has_auxiliary else logits

    def _pyramid(self, maps):
        """Return all levels of the pyramid, concatenated at the finest one's size."""
        level = self.ppm(maps[-1])
        levels = [level]
        for finer, lateral, conv in list(zip(maps, self.lateral_convs, self.fpn_convs))[::-1]:
            finer = lateral(finer)
            level = finer + _resize(level, finer)
            levels.insert(0, conv(level))
        finest, *others = levels
        return paddle.concat([finest, *(_resize(other, finest) for other in others)], axis=1)


def _resize(x, like):
    """Return `x` resized bilinearly to the height and width of `like`, corners aligned."""
    return interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)
