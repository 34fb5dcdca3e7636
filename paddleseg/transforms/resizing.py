"""Transforms that resize; each appends `("resize", (h, w))`, the size before, to `trans_info`.

Images are interpolated linearly unless `interp` names another way, masks never.
"""

import math
from typing import Optional, Sequence, Union

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.transforms import functional as F
from paddleseg.transforms.common import (
    as_size,
    change_together,
    is_length,
    record_size,
    require,
    set_ascending,
    size_of,
)


def _resize(owner, data, size, interp="LINEAR"):
    record_size(data, "resize")
    return change_together(
        owner,
        data,
        image=lambda image: F.resize(image, size, interp),
        mask=lambda mask: F.resize(mask, size, "NEAREST"),
    )


def _resize_side(owner, data, side, length):
    """Resize the long side (`max`) or the short side (`min`) to `length`, and the other in proportion."""
    size = size_of(data["img"])
    return _resize(owner, data, F.scale_size(size, length / side(size)))


@manager.TRANSFORMS.add_component
class Resize:
    """Resize to a fixed size.

    Args:
        target_size: (width, height) in pixels.
        keep_ratio: keep the ratio of width to height: the long side is at most the longer one of
            `target_size`, the short side at most the shorter one.
        size_divisor: round width and height up to multiples of it.
        interp: NEAREST, LINEAR, CUBIC, AREA or LANCZOS4, as OpenCV's; RANDOM draws one for each image.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(
        self,
        target_size: Sequence[int] = (512, 512),
        keep_ratio: bool = False,
        size_divisor: Optional[int] = None,
        interp: str = "LINEAR",
    ):
        self.target_size = as_size(self, "target_size", target_size)
        choices = [*F.INTERPOLATIONS, "RANDOM"]
        require(interp in choices, self, f"interp must be one of {', '.join(choices)}", interp)
        is_divisor = size_divisor is None or is_length(size_divisor)
        require(is_divisor, self, "size_divisor must be a positive integer", size_divisor)
        self.keep_ratio = keep_ratio
        self.size_divisor = size_divisor
        self.interp = interp

    @property
    def fixed(self):
        return self.interp != "RANDOM"

    def __call__(self, data, rng=None):
        size = self.target_size
        if self.keep_ratio:
            size = F.rescale_size(size_of(data["img"]), self.target_size)
        step = self.size_divisor or 1
        size = [max(math.ceil(side / step), 1) * step for side in size]
        interp = self.interp
        if interp == "RANDOM":
            interp = list(F.INTERPOLATIONS)[F.as_rng(rng).integers(len(F.INTERPOLATIONS))]
        return _resize(self, data, size, interp)


@manager.TRANSFORMS.add_component
class ResizeByLong:
    """Resize the long side to a given size, and the short side in proportion.

    Args:
        long_size: the long side in pixels.

    Raises:
        UserError: `long_size` is not positive.
    """

    fixed = True

    def __init__(self, long_size: int):
        require(is_length(long_size), self, "long_size must be a positive integer", long_size)
        self.long_size = long_size

    def __call__(self, data, rng=None):
        return _resize_side(self, data, max, self.long_size)


@manager.TRANSFORMS.add_component
class ResizeByShort:
    """Resize the short side to a given size, and the long side in proportion.

    Args:
        short_size: the short side in pixels, or a list from which one is drawn for each image.
        max_size: the largest long side; if it would be exceeded, both sides are made smaller.

    Raises:
        UserError: a size is not positive, or the list is empty.
    """

    def __init__(self, short_size: Union[int, Sequence[int]], max_size: float = 1e10):
        sizes = short_size if isinstance(short_size, (list, tuple)) else [short_size]
        are_sizes = bool(sizes) and all(map(is_length, sizes))
        require(are_sizes, self, "short_size must be a positive integer, or a list of them", short_size)
        require(max_size >= 1, self, "max_size must be 1 or more", max_size)
        self.short_sizes = list(sizes)
        self.max_size = max_size

    @property
    def fixed(self):
        return len(self.short_sizes) == 1

    def __call__(self, data, rng=None):
        size = size_of(data["img"])
        short = self.short_sizes[0]
        if len(self.short_sizes) > 1:
            short = self.short_sizes[F.as_rng(rng).integers(len(self.short_sizes))]
        if short / min(size) * max(size) > self.max_size:
            short = int(self.max_size / max(size) * min(size))
        return _resize_side(self, data, min, short)


@manager.TRANSFORMS.add_component
class LimitLong:
    """Resize an image whose long side is outside a range, and the short side in proportion.

    Args:
        max_long: a longer long side is resized to it; None for no limit.
        min_long: a shorter long side is resized to it; None for no limit.

    Raises:
        UserError: a limit is not positive, or `min_long` exceeds `max_long`.
    """

    fixed = True

    def __init__(self, max_long: Optional[int] = None, min_long: Optional[int] = None):
        for name, limit in (("max_long", max_long), ("min_long", min_long)):
            require(limit is None or is_length(limit), self, f"{name} must be a positive integer", limit)
        ascending = max_long is None or min_long is None or min_long <= max_long
        require(ascending, self, "min_long must not exceed max_long", (min_long, max_long))
        self.max_long = max_long
        self.min_long = min_long

    def __call__(self, data, rng=None):
        long = max(size_of(data["img"]))
        if self.max_long is not None:
            long = min(long, self.max_long)
        if self.min_long is not None:
            long = max(long, self.min_long)
        return _resize_side(self, data, max, long)


@manager.TRANSFORMS.add_component
class ResizeRangeScaling:
    """Resize the long side to a whole number drawn from a range, and the short side in proportion.

    Args:
        min_value: the smallest long side in pixels.
        max_value: the largest long side in pixels.

    Raises:
        UserError: a value is not positive, or they are not in ascending order.
    """

    def __init__(self, min_value: int = 400, max_value: int = 600):
        set_ascending(self, min_value=min_value, max_value=max_value)

    def __call__(self, data, rng=None):
        long = int(F.as_rng(rng).uniform(self.min_value, self.max_value) + 0.5)
        return _resize_side(self, data, max, long)


@manager.TRANSFORMS.add_component
class ResizeStepScaling:
    """Scale by a factor drawn from equally spaced factors, and keep the ratio of width to height.

    Args:
        min_scale_factor: the smallest factor.
        max_scale_factor: the largest factor.
        scale_step_size: the distance between factors; if it does not divide the range, the factors are
            spread over the whole range. 0 draws uniformly between the smallest and the largest factor.

    Raises:
        UserError: a factor is not positive, the smallest exceeds the largest, or the step is below 0.001
            and not 0.
    """

    def __init__(
        self, min_scale_factor: float = 0.75, max_scale_factor: float = 1.25, scale_step_size: float = 0.25
    ):
        set_ascending(self, min_scale_factor=min_scale_factor, max_scale_factor=max_scale_factor)
        is_step = scale_step_size == 0 or scale_step_size >= 1e-3
        require(is_step, self, "scale_step_size must be 0, or 0.001 or more", scale_step_size)
        self.scale_step_size = scale_step_size

    def _factor(self, rng):
        low, high = self.min_scale_factor, self.max_scale_factor
        if low == high:
            return low
        if self.scale_step_size == 0:
            return rng.uniform(low, high)
        # 0.3 / 0.1 is a little less than 3, which must not lose a factor.
        steps = math.floor((high - low) / self.scale_step_size + 1e-6)
        return rng.choice(np.linspace(low, high, steps + 1))

    def __call__(self, data, rng=None):
        factor = self._factor(F.as_rng(rng))
        return _resize(self, data, F.scale_size(size_of(data["img"]), factor))
