"""Feature extractors: `forward` returns a list of feature maps, `feat_channels` their channels."""

from paddleseg.models.backbones.resnet_vd import (
    ResNet18_vd,
    ResNet34_vd,
    ResNet50_vd,
    ResNet101_vd,
    ResNet152_vd,
)

__all__ = ["ResNet18_vd", "ResNet34_vd", "ResNet50_vd", "ResNet101_vd", "ResNet152_vd"]
