"""Transforms that pad an image and its masks."""

from typing import Optional, Sequence, Union

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.transforms import functional as F
from paddleseg.transforms.common import (
    as_size,
    change_together,
    in_depth_of,
    mask_fill,
    record_size,
    require,
    set_padding,
    size_of,
)


@manager.TRANSFORMS.add_component
class Padding:
    """Pad below and on the right to a given size.

    Appends `("padding", (h, w))`, the size before, to `trans_info`.

    Args:
        target_size: (width, height) in pixels.
        im_padding_value: what the image is padded with.
        label_padding_value: what masks are padded with. Default: the label that is ignored.

    Raises:
        UserError: `target_size` is no size, or an image is larger.
    """

    fixed = True

    def __init__(
        self,
        target_size: Sequence[int],
        im_padding_value: float = 127.5,
        label_padding_value: Optional[int] = None,
    ):
        self.target_size = as_size(self, "target_size", target_size)
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)

    @property
    def takes_bytes(self):
        return F.is_byte(self.im_padding_value)

    def __call__(self, data, rng=None):
        width, height = size_of(data["img"])
        if width > self.target_size[0] or height > self.target_size[1]:
            raise UserError(
                f"Padding: an image of {width} x {height} does not fit target_size "
                f"{self.target_size[0]} x {self.target_size[1]} (width x height); resize it first"
            )
        return _pad(self, data, self.target_size)


@manager.TRANSFORMS.add_component
class PaddingByAspectRatio:
    """Pad below or on the right until width / height is `aspect_ratio`.

    Appends `("padding", (h, w))`, the size before, to `trans_info`.

    Args:
        aspect_ratio: width / height.
        im_padding_value: what the image is padded with: a number, or a list that repeats it for each channel.
        label_padding_value: what masks are padded with. Default: the label that is ignored.

    Raises:
        UserError: `aspect_ratio` is not in 0.01..100, or the list has different numbers.
    """

    fixed = True

    def __init__(
        self,
        aspect_ratio: float = 1,
        im_padding_value: Union[float, Sequence[float]] = 127.5,
        label_padding_value: Optional[int] = None,
    ):
        require(0.01 <= aspect_ratio <= 100, self, "aspect_ratio must lie in 0.01..100", aspect_ratio)
        self.aspect_ratio = aspect_ratio
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)

    @property
    def takes_bytes(self):
        return F.is_byte(self.im_padding_value)

    def __call__(self, data, rng=None):
        width, height = size_of(data["img"])
        size = (max(width, int(height * self.aspect_ratio)), max(height, int(width / self.aspect_ratio)))
        return _pad(self, data, size)


def _pad(owner, data, size):
    record_size(data, "padding")
    return change_together(
        owner,
        data,
        image=lambda image: F.pad(image, size, owner.im_padding_value),
        mask=lambda mask: F.pad(mask, size, mask_fill(owner, data)),
    )


@manager.TRANSFORMS.add_component
class ScalePadding:
    """Pad to a square with the image in its middle, then resize to a given size.

    The image is interpolated cubically, in 8 bits, as in PaddleSeg, unless it has more. Masks are not
    interpolated; PaddleSeg interpolates them, which makes up classes at the borders between others.

    Args:
        target_size: (width, height) in pixels.
        im_padding_value: what the image is padded with: a number, or a list that repeats it for each channel;
            a fraction is dropped.
        label_padding_value: what masks are padded with. Default: the label that is ignored.

    Raises:
        UserError: `target_size` is no size, or the list has different numbers.
    """

    train_only = fixed = True

    def __init__(
        self,
        target_size: Sequence[int] = (512, 512),
        im_padding_value: Union[float, Sequence[float]] = 127.5,
        label_padding_value: Optional[int] = None,
    ):
        self.target_size = as_size(self, "target_size", target_size)
        set_padding(self, im_padding_value=im_padding_value, label_padding_value=label_padding_value)

    def __call__(self, data, rng=None):
        width, height = size_of(data["img"])
        side = max(width, height)
        corner = ((side - width) // 2, (side - height) // 2)

        def image(array):
            square = F.pad(in_depth_of(data, array), (side, side), int(self.im_padding_value), corner)
            resized = F.resize(square, self.target_size, "CUBIC")
            # In 8 bits OpenCV does so itself.
            return (np.clip(resized, 0, 255) if data.get("full_depth") else resized).astype(array.dtype)

        def mask(array):
            square = F.pad(array, (side, side), mask_fill(self, data), corner)
            return F.resize(square, self.target_size, "NEAREST")

        return change_together(self, data, image, mask)
