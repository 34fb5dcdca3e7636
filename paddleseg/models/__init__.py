"""Architectures, their backbones, layers and losses."""

from paddleseg.models import backbones, losses
from paddleseg.models.deeplab import DeepLabV3P

__all__ = ["DeepLabV3P", "backbones", "losses"]
