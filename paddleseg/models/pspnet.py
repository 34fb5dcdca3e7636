"""PSPNet."""

from typing import Optional, Sequence

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_bins, check_counts, stage_channels
from paddleseg.models.layers import AuxLayer, PPModule


@manager.MODELS.add_component
class PSPNet(SegmentationModel):
    """PSPNet: backbone, pyramid pooling, and a classifier; an auxiliary one in the middle of the backbone.

    Zhao et al., "Pyramid Scene Parsing Network", https://arxiv.org/abs/1612.01105. Keys, arithmetic and
    constructor are PaddleSeg's. `forward` gives the main output and the auxiliary one, in training and in
    evaluation; see `SegmentationModel`.

    Args:
        backbone_indices: which two of the backbone's maps are the input of the auxiliary classifier and of
            the pooling.
        pp_out_channels: channels after the pyramid pooling, before the classifier.
        bin_sizes: sizes that the feature map is pooled to.
        enable_auxiliary_loss: whether there is an auxiliary output.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, channels or bin sizes below 1,
            weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int] = (2, 3),
        pp_out_channels: int = 1024,
        bin_sizes: Sequence[int] = (1, 2, 3, 6),
        enable_auxiliary_loss: bool = True,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        channels = stage_channels(backbone, backbone_indices, 2)
        check_counts("pp_out_channels", pp_out_channels)
        check_bins("bin_sizes", bin_sizes)
        auxiliary = enable_auxiliary_loss
        self.head = PSPNetHead(
            num_classes, backbone_indices, channels, pp_out_channels, bin_sizes, auxiliary, align_corners
        )
        self.load(pretrained)


class PSPNetHead(nn.Layer):
    """Pyramid pooling and classifiers: a list of feature maps to a list of one or two maps of logits.

    Args:
        num_classes, backbone_indices, pp_out_channels, bin_sizes, align_corners: as in `PSPNet`.
        channels: channels of the two maps that `backbone_indices` names.
        auxiliary: whether there is an auxiliary classifier.
    """

    def __init__(
        self, num_classes, backbone_indices, channels, pp_out_channels, bin_sizes, auxiliary, align_corners
    ):
        super().__init__()
        middle_channels, high_channels = channels
        self.psp_module = PPModule(high_channels, pp_out_channels, bin_sizes, True, align_corners)
        self.dropout = nn.Dropout(0.1)
        self.conv = nn.Conv2D(pp_out_channels, num_classes, 1)
        if auxiliary:
            self.auxlayer = AuxLayer(middle_channels, middle_channels // 4, num_classes)
        self._has_auxiliary = auxiliary
        self._indices = list(backbone_indices)

    def forward(self, features):
        middle, high = (features[i] for i in self._indices)
        logits = [self.conv(self.dropout(self.psp_module(high)))]
        return [*logits, self.auxlayer(middle)] if self._has_auxiliary else logits
