"""Transforms that mirror, rotate and warp image and masks together."""

from typing import Optional, Sequence

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.transforms import functional as F
from paddleseg.transforms.common import (
    LARGEST_ARGUMENT,
    LONGEST_SIDE,
    as_size,
    change_together,
    in_depth_of,
    mask_fill,
    set_ascending,
    set_bounded,
    set_padding,
    size_of,
)


class _RandomFlip:
    """Mirror along the class's `axis` with probability `prob`."""

    train_only = takes_bytes = True

    def __init__(self, prob):
        set_bounded(self, upper=1, prob=prob)

    def __call__(self, data, rng=None):
        flipped = F.as_rng(rng).random() < self.prob
        flip = lambda array: F.flip(array, self.axis) if flipped else array  # noqa: E731
        return change_together(self, data, flip, flip)


@manager.TRANSFORMS.add_component
class RandomHorizontalFlip(_RandomFlip):
    """Mirror left and right with probability `prob`.

    Args:
        prob: the probability.

    Raises:
        UserError: `prob` is not in 0..1.
    """

    axis = 1

    def __init__(self, prob: float = 0.5):
        super().__init__(prob)


@manager.TRANSFORMS.add_component
class RandomVerticalFlip(_RandomFlip):
    """Mirror top and bottom with probability `prob`.

    Args:
        prob: the probability.

    Raises:
        UserError: `prob` is not in 0..1.
    """

    axis = 0

    def __init__(self, prob: float = 0.1):
        super().__init__(prob)


@manager.TRANSFORMS.add_component
class RandomRotation:
    """Rotate by an angle drawn uniformly, on a canvas that holds the whole rotated image.

    Args:
        max_rotation: the largest angle in degrees, in either direction; 0 changes nothing.
        im_padding_value: the value that fills the corners of the image.
        label_padding_value: the value that fills the corners of masks. Default: the label that
            is ignored.

    Raises:
        UserError: an argument is out of its range.
    """

    train_only = True

    def __init__(
        self,
        max_rotation: float = 15,
        im_padding_value: float = 127.5,
        label_padding_value: Optional[int] = None,
    ):
        set_bounded(self, upper=LARGEST_ARGUMENT, max_rotation=max_rotation)
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)

    def __call__(self, data, rng=None):
        angle = F.as_rng(rng).uniform(-self.max_rotation, self.max_rotation)
        matrix, size = F.rotation(size_of(data["img"]), angle)
        if self.max_rotation == 0:
            # Nothing may change, but a rotation about width // 2 shifts an odd size by half a pixel. Other
            # angles keep this centre, which is PaddleSeg's.
            matrix = np.eye(2, 3)
        return change_together(
            self,
            data,
            image=lambda image: F.warp(image, matrix, size, "LINEAR", self.im_padding_value),
            mask=lambda mask: F.warp(mask, matrix, size, "NEAREST", mask_fill(self, data)),
        )


@manager.TRANSFORMS.add_component
class RandomAffine:
    """Fit the image into a given size, then rotate, scale and shift it, each by an amount drawn uniformly.

    The image is warped in 8 bits, as in PaddleSeg, unless it has more. `translation_offset` shifts the image;
    in PaddleSeg it moves only the centre of rotation and scaling, so that by itself it shifts nothing.

    Args:
        size: (width, height) of the result in pixels.
        translation_offset: the largest shift in pixels, horizontally and vertically, in either direction.
        max_rotation: the largest angle in degrees, in either direction.
        min_scale_factor, max_scale_factor: the range of the scale; 1 is the mean of the scale that fits the
            width and the scale that fits the height.
        im_padding_value: the value of the result where the image does not reach.
        label_padding_value: the same for masks. Default: the label that is ignored.

    Raises:
        UserError: an argument is out of its range.
    """

    train_only = True

    def __init__(
        self,
        size: Sequence[int] = (224, 224),
        translation_offset: float = 0,
        max_rotation: float = 15,
        min_scale_factor: float = 0.75,
        max_scale_factor: float = 1.25,
        im_padding_value: float = 128,
        label_padding_value: Optional[int] = None,
    ):
        self.size = as_size(self, "size", size)
        set_ascending(self, min_scale_factor=min_scale_factor, max_scale_factor=max_scale_factor)
        set_bounded(self, upper=LONGEST_SIDE, translation_offset=translation_offset)
        set_bounded(self, upper=LARGEST_ARGUMENT, max_rotation=max_rotation)
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)

    @property
    def takes_bytes(self):
        return F.is_byte(self.im_padding_value)

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        shift = [rng.uniform(-self.translation_offset, self.translation_offset) for _ in range(2)]
        angle = rng.uniform(-self.max_rotation, self.max_rotation)
        scale = rng.uniform(self.min_scale_factor, self.max_scale_factor)
        matrix = F.fitting(size_of(data["img"]), self.size, angle, scale, shift)

        def image(array):
            warped = F.warp(in_depth_of(data, array), matrix, self.size, "LINEAR", self.im_padding_value)
            return warped.astype(array.dtype)

        def mask(array):
            return F.warp(array, matrix, self.size, "NEAREST", mask_fill(self, data))

        return change_together(self, data, image, mask)
