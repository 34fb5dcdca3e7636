"""OCRNet: each pixel's context from the regions of the classes."""

from typing import Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.models.base import SegmentationModel
from paddleseg.models.checks import check_counts, stage_channels
from paddleseg.models.layers import ConvBNReLU


@manager.MODELS.add_component
class OCRNet(SegmentationModel):
    """OCRNet: backbone, coarse logits, and logits from the pixels and the classes' regions.

    Yuan et al., "Object-Contextual Representations for Semantic Segmentation",
    https://arxiv.org/abs/1909.11065. Keys, arithmetic and constructor are PaddleSeg's. `forward` gives two
    outputs in training, the second of them the coarse logits, and one in evaluation; see `SegmentationModel`.

    Args:
        backbone_indices: one of the backbone's maps, or two: for the coarse logits, and for the pixels.
        ocr_mid_channels: channels of the pixels and of the regions.
        ocr_key_channels: channels in which both are compared.
        align_corners: as in `paddle.nn.functional.interpolate`, for the logits.

    Raises:
        UserError: `backbone_indices` that the backbone does not have, or, in `forward`, of maps of different
            sizes; channels below 1; weights that do not match.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Layer,
        backbone_indices: Sequence[int],
        ocr_mid_channels: int = 512,
        ocr_key_channels: int = 256,
        align_corners: bool = False,
        pretrained: Optional[str] = None,
    ):
        super().__init__(backbone, align_corners)
        in_channels = stage_channels(backbone, backbone_indices, 1, most=2)
        check_counts("ocr_mid_channels", ocr_mid_channels)
        check_counts("ocr_key_channels", ocr_key_channels)
        self.backbone_indices = list(backbone_indices)
        channels = (in_channels[0], in_channels[-1], ocr_mid_channels, ocr_key_channels)
        self.head = OCRHead(num_classes, *channels)
        self.load(pretrained)

    def decode(self, features):
        coarse, pixels = features[self.backbone_indices[0]], features[self.backbone_indices[-1]]
        # In a static graph the sizes are not known.
        if paddle.in_dynamic_mode() and coarse.shape[2:] != pixels.shape[2:]:
            raise UserError(
                f"backbone_indices {self.backbone_indices} must name maps of the same size, not of "
                f"{list(coarse.shape[2:])} and {list(pixels.shape[2:])}"
            )
        logits = self.head(coarse, pixels)
        return logits if self.training else logits[:1]


def _classifier(in_channels, num_classes):
    return nn.Conv2D(in_channels, num_classes, 1, weight_attr=_initial_kernel())


def _conv(in_channels, out_channels, kernel_size=1):
    # Attention magnifies what another rounding changes, up to a thousandth of the logits.
    options = {"add_bias": True, "weight_attr": _initial_kernel()}
    return ConvBNReLU(in_channels, out_channels, kernel_size, **options)


def _initial_kernel():
    return nn.initializer.Normal(std=0.001)


class OCRHead(nn.Layer):
    """Two feature maps of the same size to a list of the main logits and the coarse ones.

    Args:
        num_classes: number of classes.
        coarse_channels, pixel_channels: channels of the two maps.
        mid_channels, key_channels: as in `OCRNet`.
    """

    def __init__(self, num_classes, coarse_channels, pixel_channels, mid_channels, key_channels):
        super().__init__()
        self.spatial_ocr = SpatialOCRModule(mid_channels, key_channels)
        self.conv3x3_ocr = _conv(pixel_channels, mid_channels, 3)
        self.cls_head = _classifier(mid_channels, num_classes)
        self.aux_head = nn.Sequential(
            _conv(coarse_channels, coarse_channels), _classifier(coarse_channels, num_classes)
        )

    def forward(self, coarse, pixels):
        coarse = self.aux_head(coarse)
        pixels = self.conv3x3_ocr(pixels)
        logits = self.cls_head(self.spatial_ocr(pixels, region_means(pixels, coarse)))
        return [logits, coarse]


def region_means(pixels, logits):
    """Return the mean of the pixels for each class, N x C x classes x 1, weighted by its logits' softmax.

    Args:
        pixels: N x C x H x W.
        logits: N x classes x H x W; their softmax is over the H * W pixels.
    """
    weights = F.softmax(logits.flatten(2), axis=2)
    means = weights @ pixels.flatten(2).transpose([0, 2, 1])
    return means.transpose([0, 2, 1]).unsqueeze(-1)


class SpatialOCRModule(nn.Layer):
    """Pixels and their context from the regions, fused: N x channels x H x W to the same shape.

    Args:
        channels, key_channels: channels of the pixels, and those in which pixels and regions are compared.
    """

    def __init__(self, channels, key_channels):
        super().__init__()
        self.attention_block = ObjectAttentionBlock(channels, key_channels)
        self.conv1x1 = nn.Sequential(_conv(2 * channels, channels), nn.Dropout2D(0.1))

    def forward(self, pixels, regions):
        context = self.attention_block(pixels, regions)
        return self.conv1x1(paddle.concat([context, pixels], axis=1))


class ObjectAttentionBlock(nn.Layer):
    """Attention of the pixels, N x channels x H x W, to regions, N x channels x classes x 1.

    Returns N x channels x H x W.

    Args:
        channels, key_channels: as in `SpatialOCRModule`.
    """

    def __init__(self, channels, key_channels):
        super().__init__()
        self._scale = key_channels**-0.5
        self.f_pixel = nn.Sequential(_conv(channels, key_channels), _conv(key_channels, key_channels))
        self.f_object = nn.Sequential(_conv(channels, key_channels), _conv(key_channels, key_channels))
        self.f_down = _conv(channels, key_channels)
        self.f_up = _conv(key_channels, channels)

    def forward(self, pixels, regions):
        query = self.f_pixel(pixels).flatten(2).transpose([0, 2, 1])
        key = self.f_object(regions).flatten(2)
        value = self.f_down(regions).flatten(2).transpose([0, 2, 1])
        attention = F.softmax(self._scale * (query @ key), axis=-1)
        context = (attention @ value).transpose([0, 2, 1])
        return self.f_up(context.reshape([0, 0, pixels.shape[2], pixels.shape[3]]))
