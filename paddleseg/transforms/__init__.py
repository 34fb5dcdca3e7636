"""Preparation and augmentation of images and masks, on NumPy and OpenCV."""

from paddleseg.transforms.compose import Compose
from paddleseg.transforms.transforms import (
    Normalize,
    RandomDistort,
    RandomHorizontalFlip,
    RandomPaddingCrop,
    Resize,
    ResizeStepScaling,
)

__all__ = [
    "Compose",
    "Normalize",
    "RandomDistort",
    "RandomHorizontalFlip",
    "RandomPaddingCrop",
    "Resize",
    "ResizeStepScaling",
]
