"""Preparation and augmentation of images and masks, on NumPy and OpenCV.

Each transform of a config is called `transform(data, rng=None)` with the dict that `Compose` describes, and
returns it: `img` transformed, the arrays named by `gt_fields` with it. Masks are never interpolated. Every
random choice is drawn from `rng`, a `numpy.random.Generator` (one seeded from NumPy's global state if None).
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
