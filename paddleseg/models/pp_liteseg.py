"""PP-LiteSeg."""

import math
from typing import Literal, Optional, Sequence

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError, suggestion
from paddleseg.models import layers
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_bins, check_counts, stage_channels
from paddleseg.models.layers import ConvBNReLU, PPContextModule

ARM_TYPES = {
    arm.__name__: arm
    for arm in (
        layers.UAFM,
        layers.UAFM_ChAtten,
        layers.UAFM_ChAtten_S,
        layers.UAFM_SpAtten,
        layers.UAFM_SpAtten_S,
        layers.UAFMMobile,
        layers.UAFMMobile_SpAtten,
    )
}


@manager.MODELS.add_component
class PPLiteSeg(SegmentationModel):
    """PP-LiteSeg: backbone, simple pyramid pooling, and attention fusions up to the finest map.

    Peng et al., "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model",
    https://arxiv.org/abs/2204.02681. Keys, arithmetic and constructor are PaddleSeg's. `forward` gives one
    output for each of `backbone_indices` in training, that of the finest map first, and that one only in
    evaluation; see `SegmentationModel`.

    Args:
        backbone_indices: which of the backbone's maps are fused, the finest first; at least two.
        arm_type: the fusion, a class of `paddleseg.models.layers`: UAFM, UAFM_ChAtten, UAFM_ChAtten_S,
            UAFM_SpAtten, UAFM_SpAtten_S, UAFMMobile or UAFMMobile_SpAtten.
        cm_bin_sizes: sizes that the coarsest map is pooled to.
        cm_out_ch: channels after the pyramid pooling.
        arm_out_chs: channels after each fusion, the finest first; a single number serves all.
        seg_head_inter_chs: channels inside each classifier, the finest first; a single number serves all.
        resize_mode: how the coarser map is brought to the size of the finer one.

    Raises:
        UserError: `backbone_indices` that the backbone does not have or that do not go from fine to coarse,
            lists of another length, channels or bin sizes below 1, an unknown `arm_type`, weights that do not
            match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int] = (2, 3, 4),
        arm_type: str = "UAFM_SpAtten",
        cm_bin_sizes: Sequence[int] = (1, 2, 4),
        cm_out_ch: int = 128,
        arm_out_chs: Sequence[int] = (64, 96, 128),
        seg_head_inter_chs: Sequence[int] = (64, 64, 64),
        resize_mode: Literal["nearest", "bilinear", "bicubic", "area"] = "bilinear",
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone)
        in_channels = stage_channels(backbone, backbone_indices, 2, most=math.inf)
        stages = [i % len(backbone.feat_channels) for i in backbone_indices]
        if stages != sorted(stages):
            raise UserError(f"backbone_indices must go from fine to coarse, not {list(backbone_indices)}")
        if arm_type not in ARM_TYPES:
            raise UserError(f"unknown arm_type {arm_type!r}; {suggestion(arm_type, ARM_TYPES)}")
        check_bins("cm_bin_sizes", cm_bin_sizes)
        check_counts("cm_out_ch", cm_out_ch)
        arm_out_chs = _one_for_each("arm_out_chs", arm_out_chs, len(stages))
        seg_head_inter_chs = _one_for_each("seg_head_inter_chs", seg_head_inter_chs, len(stages))
        self.backbone_indices = list(backbone_indices)
        self.ppseg_head = PPLiteSegHead(
            in_channels, arm_out_chs, cm_bin_sizes, cm_out_ch, ARM_TYPES[arm_type], resize_mode
        )
        self.seg_heads = nn.LayerList(
            [SegHead(arm, inter, num_classes) for arm, inter in zip(arm_out_chs, seg_head_inter_chs)]
        )
        self.load(pretrained)

    def decode(self, features):
        fused = self.ppseg_head([features[i] for i in self.backbone_indices])
        used = len(fused) if self.training else 1
        return [head(x) for head, x in list(zip(self.seg_heads, fused))[:used]]


class PPLiteSegHead(nn.Layer):
    """Pyramid pooling and fusions: the chosen maps to as many fused ones of the same sizes.

    Args:
        in_channels: channels of the maps, the finest first.
        arm_out_chs, cm_bin_sizes, cm_out_ch, resize_mode: as in `PPLiteSeg`.
        arm_class: the class of the fusion.
    """

    def __init__(self, in_channels, arm_out_chs, cm_bin_sizes, cm_out_ch, arm_class, resize_mode):
        super().__init__()
        self.cm = PPContextModule(in_channels[-1], cm_out_ch, cm_bin_sizes)
        deeper = [*arm_out_chs[1:], cm_out_ch]
        self.arm_list = nn.LayerList(
            [
                arm_class(own, deep, out, ksize=3, resize_mode=resize_mode)
                for own, deep, out in zip(in_channels, deeper, arm_out_chs)
            ]
        )

    def forward(self, maps):
        deep = self.cm(maps[-1])
        fused = []
        for x, arm in list(zip(maps, self.arm_list))[::-1]:
            deep = arm(x, deep)
            fused.insert(0, deep)
        return fused


class SegHead(nn.Layer):
    """A 3x3 convolution and a 1x1: N x in_channels x H x W to logits N x num_classes x H x W.

    Args:
        in_channels, inter_channels, num_classes: channels before, between and after.
    """

    def __init__(self, in_channels, inter_channels, num_classes):
        super().__init__()
        self.conv = ConvBNReLU(in_channels, inter_channels, 3, padding=1, bias_attr=False)
        self.conv_out = nn.Conv2D(inter_channels, num_classes, 1, bias_attr=False)

    def forward(self, x):
        return self.conv_out(self.conv(x))


def _one_for_each(name, channels, count):
    """Return `count` numbers of channels, a single one repeated; raise `UserError` for another number."""
    check_counts(name, channels)
    channels = list(channels) * count if len(channels) == 1 else list(channels)
    if len(channels) != count:
        raise UserError(
            f"{name} must hold one number, or one for each of the {count} backbone_indices, not {channels}"
        )
    return channels
