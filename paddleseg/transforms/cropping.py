"""Transforms that crop at random."""

import math
from typing import Optional, Sequence

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.transforms import functional as F
from paddleseg.transforms.common import (
    as_size,
    change_together,
    mask_fill,
    require,
    set_bounded,
    set_padding,
    size_of,
)

_ATTEMPTS = 10


def _draw_corner(rng, size, crop_size):
    """Draw uniformly the top left corner (x, y) of a crop of an image, both sizes (width, height)."""
    return tuple(int(rng.integers(whole - side + 1)) for whole, side in zip(size, crop_size))


@manager.TRANSFORMS.add_component
class RandomPaddingCrop:
    """Cut out a given size at a random place; a smaller image is first padded below and on the right.

    Args:
        crop_size: (width, height) in pixels.
        im_padding_value: what the image is padded with.
        label_padding_value: what masks are padded with. Default: the label that is ignored.
        category_max_ratio: if below 1, places are tried until the crop shows at least two classes and each
            of them has less than this share of the pixels that are not ignored.
        ignore_index: the mask value of the pixels that are ignored in that search. Default: the label that is
            ignored.
        loop_times: the largest number of places to try; the last one is taken if none fits.

    Raises:
        UserError: an argument is out of its range.
    """

    train_only = True

    def __init__(
        self,
        crop_size: Sequence[int] = (512, 512),
        im_padding_value: float = 127.5,
        label_padding_value: Optional[int] = None,
        category_max_ratio: float = 1.0,
        ignore_index: Optional[int] = None,
        loop_times: int = 10,
    ):
        self.crop_size = as_size(self, "crop_size", crop_size)
        require(category_max_ratio > 0, self, "category_max_ratio must be positive", category_max_ratio)
        require(loop_times >= 1, self, "loop_times must be 1 or more", loop_times)
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)
        self.category_max_ratio = category_max_ratio
        self.ignore_index = ignore_index
        self.loop_times = loop_times

    def _is_balanced(self, mask, ignored):
        classes, counts = np.unique(mask, return_counts=True)
        counts = counts[classes != ignored]
        return len(counts) > 1 and counts.max() / counts.sum() < self.category_max_ratio

    def _draw_balanced_corner(self, data, rng):
        """Draw the top left corner (x, y) of a crop that is balanced, if that is wanted."""
        checked = self.category_max_ratio < 1 and "label" in data.get("gt_fields", [])
        ignored = data.get("ignore_index", 255) if self.ignore_index is None else self.ignore_index
        for _ in range(self.loop_times if checked else 1):
            corner = _draw_corner(rng, size_of(data["img"]), self.crop_size)
            if checked and self._is_balanced(F.crop(data["label"], corner, self.crop_size), ignored):
                break
        return corner

    def takes_bytes(self, image):
        needs_padding = any(side < wanted for side, wanted in zip(size_of(image), self.crop_size))
        return not needs_padding or F.is_byte(self.im_padding_value)

    def __call__(self, data, rng=None):
        data = change_together(
            self,
            data,
            image=lambda image: F.pad(image, self.crop_size, self.im_padding_value),
            mask=lambda mask: F.pad(mask, self.crop_size, mask_fill(self, data)),
        )
        corner = self._draw_balanced_corner(data, F.as_rng(rng))
        cut = lambda array: F.crop(array, corner, self.crop_size)  # noqa: E731
        return change_together(self, data, cut, cut)


@manager.TRANSFORMS.add_component
class RandomCenterCrop:
    """Cut random widths off the left and right, and random heights off the top and bottom.

    The number of columns to cut is drawn uniformly from 0 up to what `retain_ratio` allows, then how many of
    them are on the left; likewise for rows.

    Args:
        retain_ratio: the smallest shares of the width and of the height that remain, each in 0..1.

    Raises:
        UserError: `retain_ratio` is no pair of such shares.
    """

    train_only = takes_bytes = True

    def __init__(self, retain_ratio: Sequence[float] = (0.5, 0.5)):
        is_pair = isinstance(retain_ratio, (list, tuple)) and len(retain_ratio) == 2
        fits = is_pair and all(0 <= share <= 1 for share in retain_ratio)
        require(fits, self, "retain_ratio must be [width, height], two shares in 0..1", retain_ratio)
        self.retain_ratio = tuple(retain_ratio)

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        size = size_of(data["img"])
        crop_size = []
        for side, share in zip(size, self.retain_ratio):
            # 10 * (1 - 0.9) is a little less than 1, which must not lose a column.
            most = min(math.floor(side * (1 - share) + 1e-6), side - 1)
            crop_size.append(side - int(rng.integers(most + 1)))
        corner = _draw_corner(rng, size, crop_size)
        cut = lambda array: F.crop(array, corner, crop_size)  # noqa: E731
        return change_together(self, data, cut, cut)


@manager.TRANSFORMS.add_component
class RandomScaleAspect:
    """Cut out a rectangle of random area and shape, and resize it to the size of the whole image.

    At most ten shapes are tried; an image into which none of them fits is left whole.

    Args:
        min_scale: the smallest area of the rectangle, as a share of the whole; 0 turns the transform off.
        aspect_ratio: the smallest ratio of its sides, in 0..1; the largest is its inverse. The ratio
            is drawn uniformly between the two, and is width / height or height / width with the same
            probability. 0 turns the transform off.

    Raises:
        UserError: an argument is not in 0..1.
    """

    train_only = True

    def __init__(self, min_scale: float = 0.5, aspect_ratio: float = 0.33):
        set_bounded(self, upper=1, min_scale=min_scale, aspect_ratio=aspect_ratio)

    def _draw_crop_size(self, size, rng):
        """Draw (width, height) of a rectangle that fits into `size`; return `size` if none does."""
        for _ in range(_ATTEMPTS):
            area = size[0] * size[1] * rng.uniform(self.min_scale, 1)
            ratio = rng.uniform(self.aspect_ratio, 1 / self.aspect_ratio)
            crop_size = (max(int(math.sqrt(area * ratio)), 1), max(int(math.sqrt(area / ratio)), 1))
            if rng.random() < 0.5:
                crop_size = crop_size[::-1]
            if crop_size[0] <= size[0] and crop_size[1] <= size[1]:
                return crop_size
        return size

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        size = crop_size = size_of(data["img"])
        if self.min_scale and self.aspect_ratio:
            crop_size = self._draw_crop_size(size, rng)
        corner = _draw_corner(rng, size, crop_size)
        return change_together(
            self,
            data,
            image=lambda image: F.resize(F.crop(image, corner, crop_size), size),
            mask=lambda mask: F.resize(F.crop(mask, corner, crop_size), size, "NEAREST"),
        )
