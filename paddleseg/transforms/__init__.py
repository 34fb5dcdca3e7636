"""Preparation and augmentation of images and masks with NumPy and OpenCV.

A transform is called as `transform(data, rng=None)` with the dict that `Compose` describes. It transforms
`img` and with it the arrays that `gt_fields` names, and returns the dict. Masks are never interpolated. Every
random choice is drawn from `rng`, a `numpy.random.Generator`; None seeds one from NumPy's global state.
"""

from paddleseg.transforms.colour import Normalize, RandomBlur, RandomDistort, RandomNoise
from paddleseg.transforms.compose import Compose
from paddleseg.transforms.cropping import RandomCenterCrop, RandomPaddingCrop, RandomScaleAspect
from paddleseg.transforms.geometry import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
)
from paddleseg.transforms.padding import Padding, PaddingByAspectRatio, ScalePadding
from paddleseg.transforms.resizing import (
    LimitLong,
    Resize,
    ResizeByLong,
    ResizeByShort,
    ResizeRangeScaling,
    ResizeStepScaling,
)

__all__ = [
    "Compose",
    "LimitLong",
    "Normalize",
    "Padding",
    "PaddingByAspectRatio",
    "RandomAffine",
    "RandomBlur",
    "RandomCenterCrop",
    "RandomDistort",
    "RandomHorizontalFlip",
    "RandomNoise",
    "RandomPaddingCrop",
    "RandomRotation",
    "RandomScaleAspect",
    "RandomVerticalFlip",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
    "ResizeRangeScaling",
    "ResizeStepScaling",
    "ScalePadding",
]
