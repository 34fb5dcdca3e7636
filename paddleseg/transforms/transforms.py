"""The transforms that a config names, with PaddleSeg's parameters.

Each is called `transform(data, rng=None)` with the dict that `Compose` describes, and returns it: `img`
transformed, the arrays named by `gt_fields` with it. Masks are never interpolated. Every random choice
is drawn from `rng`, a `numpy.random.Generator` (one seeded from NumPy's global state if None).
"""

import math
from typing import Optional, Sequence

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.transforms import functional as F


def _require(condition, owner, rule, value):
    if not condition:
        raise UserError(f"{type(owner).__name__}: {rule}, not {value!r}")


def _as_size(owner, name, size):
    good = (
        isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)
    )
    _require(good, owner, f"{name} must be [width, height], two positive integers", size)
    return tuple(size)


def _resize_all(data, size, interp):
    data["img"] = F.resize(data["img"], size, interp)
    for key in data.get("gt_fields", []):
        data[key] = F.resize(data[key], size, "NEAREST")
    return data


@manager.TRANSFORMS.add_component
class Resize:
    """Resize to a fixed size.

    Appends `("resize", (h, w))`, the size before, to `trans_info`.

    Args:
        target_size: (width, height) in pixels.
        interp: NEAREST, LINEAR, CUBIC, AREA or LANCZOS4, as OpenCV's; RANDOM chooses one each time.
        keep_ratio: keep the ratio of width to height, and fit the long side into the longer of
            `target_size`, the short one into the shorter.
        size_divisor: round width and height up to multiples of it.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(
        self,
        target_size: Sequence[int] = (512, 512),
        interp: str = "LINEAR",
        keep_ratio: bool = False,
        size_divisor: Optional[int] = None,
    ):
        self.target_size = _as_size(self, "target_size", target_size)
        choices = [*F.INTERPOLATIONS, "RANDOM"]
        _require(interp in choices, self, f"interp must be one of {', '.join(choices)}", interp)
        good = size_divisor is None or (isinstance(size_divisor, int) and size_divisor > 0)
        _require(good, self, "size_divisor must be a positive integer", size_divisor)
        self.interp = interp
        self.keep_ratio = keep_ratio
        self.size_divisor = size_divisor

    def __call__(self, data, rng=None):
        height, width = data["img"].shape[:2]
        data.setdefault("trans_info", []).append(("resize", (height, width)))
        size = F.rescale_size((width, height), self.target_size) if self.keep_ratio else self.target_size
        step = self.size_divisor or 1
        size = [max(math.ceil(side / step), 1) * step for side in size]
        interp = self.interp
        if interp == "RANDOM":
            interp = list(F.INTERPOLATIONS)[F.as_rng(rng).integers(len(F.INTERPOLATIONS))]
        return _resize_all(data, size, interp)


@manager.TRANSFORMS.add_component
class ResizeStepScaling:
    """Scale by a factor drawn from equally spaced ones, keeping the ratio of width to height.

    Args:
        min_scale_factor: the smallest factor.
        max_scale_factor: the largest factor.
        scale_step_size: the distance between factors; if it does not divide the range, the factors
            spread over the whole range. 0 draws uniformly between the smallest and the largest.

    Raises:
        UserError: a factor is not positive, the smallest exceeds the largest, or the step is negative.
    """

    def __init__(
        self, min_scale_factor: float = 0.75, max_scale_factor: float = 1.25, scale_step_size: float = 0.25
    ):
        bounds = (min_scale_factor, max_scale_factor)
        rule = "min_scale_factor and max_scale_factor must be positive and in ascending order"
        _require(0 < min_scale_factor <= max_scale_factor, self, rule, bounds)
        _require(scale_step_size >= 0, self, "scale_step_size must be 0 or more", scale_step_size)
        self.min_scale_factor = min_scale_factor
        self.max_scale_factor = max_scale_factor
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
        height, width = data["img"].shape[:2]
        size = [max(round(factor * side), 1) for side in (width, height)]
        return _resize_all(data, size, "LINEAR")


@manager.TRANSFORMS.add_component
class RandomHorizontalFlip:
    """Mirror left and right with probability `prob`.

    Raises:
        UserError: `prob` is not in 0..1.
    """

    def __init__(self, prob: float = 0.5):
        _require(0 <= prob <= 1, self, "prob must lie in 0..1", prob)
        self.prob = prob

    def __call__(self, data, rng=None):
        if F.as_rng(rng).random() < self.prob:
            for key in ["img", *data.get("gt_fields", [])]:
                data[key] = F.horizontal_flip(data[key])
        return data


@manager.TRANSFORMS.add_component
class RandomPaddingCrop:
    """Cut out a part at random, after padding below and on the right what is too small for it.

    Args:
        crop_size: (width, height) in pixels.
        im_padding_value: what the image is padded with.
        label_padding_value: what masks are padded with; it should be the ignored index.
        category_max_ratio: if below 1, other places are tried until two classes or more show, none of
            which fills this share of the pixels that are not ignored.
        ignore_index: the mask value that is not counted there.
        loop_times: how many places are tried at most; the last one is taken if none will do.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(
        self,
        crop_size: Sequence[int] = (512, 512),
        im_padding_value: float = 127.5,
        label_padding_value: int = 255,
        category_max_ratio: float = 1.0,
        ignore_index: int = 255,
        loop_times: int = 10,
    ):
        self.crop_size = _as_size(self, "crop_size", crop_size)
        _require(category_max_ratio > 0, self, "category_max_ratio must be positive", category_max_ratio)
        _require(loop_times >= 1, self, "loop_times must be 1 or more", loop_times)
        self.im_padding_value = im_padding_value
        self.label_padding_value = label_padding_value
        self.category_max_ratio = category_max_ratio
        self.ignore_index = ignore_index
        self.loop_times = loop_times

    def _balanced(self, mask):
        classes, counts = np.unique(mask, return_counts=True)
        counts = counts[classes != self.ignore_index]
        return len(counts) > 1 and counts.max() / counts.sum() < self.category_max_ratio

    def _corner(self, data, rng):
        height, width = data["img"].shape[:2]
        margins = (width - self.crop_size[0], height - self.crop_size[1])
        judged = self.category_max_ratio < 1 and "label" in data.get("gt_fields", [])
        for _ in range(self.loop_times if judged else 1):
            corner = tuple(int(rng.integers(margin + 1)) for margin in margins)
            if judged and self._balanced(F.crop(data["label"], corner, self.crop_size)):
                break
        return corner

    def __call__(self, data, rng=None):
        fields = data.get("gt_fields", [])
        data["img"] = F.pad_bottom_right(data["img"], self.crop_size, self.im_padding_value)
        for key in fields:
            data[key] = F.pad_bottom_right(data[key], self.crop_size, self.label_padding_value)
        corner = self._corner(data, F.as_rng(rng))
        for key in ["img", *fields]:
            data[key] = F.crop(data[key], corner, self.crop_size)
        return data


@manager.TRANSFORMS.add_component
class RandomDistort:
    """Change brightness, contrast, saturation, hue and sharpness, in random order, each with its chance.

    The image becomes float32, clipped to 0..255 after each change. A grey one has no hue or saturation.

    Args:
        brightness_range, contrast_range, saturation_range, sharpness_range: r, for a factor drawn
            uniformly from 1 - r .. 1 + r, with the meaning of Pillow's `ImageEnhance`.
        hue_range: r, for a turn drawn uniformly from -r .. r, in 1/255 of the circle of hues.
        brightness_prob, contrast_prob, saturation_prob, hue_prob, sharpness_prob: the chances.

    Raises:
        UserError: a range is negative, or a chance is not in 0..1.
    """

    def __init__(
        self,
        brightness_range: float = 0.5,
        brightness_prob: float = 0.5,
        contrast_range: float = 0.5,
        contrast_prob: float = 0.5,
        saturation_range: float = 0.5,
        saturation_prob: float = 0.5,
        hue_range: float = 18,
        hue_prob: float = 0.5,
        sharpness_range: float = 0.5,
        sharpness_prob: float = 0,
    ):
        self.changes = {
            "brightness": (F.brightness, 1, brightness_range, brightness_prob),
            "contrast": (F.contrast, 1, contrast_range, contrast_prob),
            "saturation": (F.saturation, 1, saturation_range, saturation_prob),
            "hue": (F.hue, 0, hue_range, hue_prob),
            "sharpness": (F.sharpness, 1, sharpness_range, sharpness_prob),
        }
        for name, (_, _, reach, prob) in self.changes.items():
            _require(reach >= 0, self, f"{name}_range must be 0 or more", reach)
            _require(0 <= prob <= 1, self, f"{name}_prob must lie in 0..1", prob)

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        image = np.clip(data["img"], 0, 255).astype(np.float32)
        names = [name for name in self.changes if image.ndim == 3 or name not in ("saturation", "hue")]
        for name in rng.permutation(names):
            change, centre, reach, prob = self.changes[name]
            if rng.random() < prob:
                image = change(image, rng.uniform(centre - reach, centre + reach))
        data["img"] = image
        return data


@manager.TRANSFORMS.add_component
class Normalize:
    """Return (img / 255 - mean) / std as float32.

    Args:
        mean: one value, or one a channel.
        std: likewise; none may be 0.

    Raises:
        UserError: they are no such lists, or do not fit the image's channels.
    """

    def __init__(self, mean: Sequence[float] = (0.5,), std: Sequence[float] = (0.5,)):
        for name, values in (("mean", mean), ("std", std)):
            good = isinstance(values, (list, tuple)) and len(values) in (1, 3)
            _require(good, self, f"{name} must be a list of 1 or 3 numbers", values)
        _require(all(std), self, "std must hold no 0", std)
        self.mean = np.array(mean, np.float32)
        self.std = np.array(std, np.float32)

    def __call__(self, data, rng=None):
        channels = 1 if data["img"].ndim == 2 else data["img"].shape[2]
        needed = max(self.mean.size, self.std.size)
        _require(
            needed in (1, channels), self, f"mean and std must fit an image of {channels} channels", needed
        )
        data["img"] = F.normalize(data["img"], self.mean, self.std)
        return data
