"""Transforms that change the values of an image and no mask."""

from typing import Sequence

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.transforms import functional as F
from paddleseg.transforms.common import LARGEST_ARGUMENT, in_depth_of, require, set_bounded


@manager.TRANSFORMS.add_component
class RandomDistort:
    """Change brightness, contrast, saturation, hue and sharpness, in random order, each with a probability.

    The image becomes float32 and is clipped to 0..255 after each change. Only an image of
    three channels has hue and saturation to change.

    Args:
        brightness_range, contrast_range, saturation_range, sharpness_range: the number r. A factor is drawn
            uniformly from 1 - r to 1 + r, with the meaning of Pillow's `ImageEnhance`.
        hue_range: the number r. A shift is drawn uniformly from -r to r, in 1/255 of the circle of hues.
        brightness_prob, contrast_prob, saturation_prob, hue_prob, sharpness_prob: the probability of this
            change.

    Raises:
        UserError: a range is not in 0..32767, or a probability is not in 0..1.
    """

    takes_bytes = True

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
        # {name: (function of image and amount, amount that changes nothing, range of amounts, probability)}
        self.changes = {
            "brightness": (F.brightness, 1, brightness_range, brightness_prob),
            "contrast": (F.contrast, 1, contrast_range, contrast_prob),
            "saturation": (F.saturation, 1, saturation_range, saturation_prob),
            "hue": (F.hue, 0, hue_range, hue_prob),
            "sharpness": (F.sharpness, 1, sharpness_range, sharpness_prob),
        }
        for name, (_, _, range_, prob) in self.changes.items():
            set_bounded(self, upper=LARGEST_ARGUMENT, **{f"{name}_range": range_})
            set_bounded(self, upper=1, **{f"{name}_prob": prob})

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        image = np.clip(data["img"], 0, 255).astype(np.float32)
        has_colours = image.ndim == 3 and image.shape[2] == 3
        names = [name for name in self.changes if has_colours or name not in ("saturation", "hue")]
        for name in rng.permutation(names):
            change, neutral, range_, prob = self.changes[name]
            if rng.random() < prob:
                image = change(image, rng.uniform(neutral - range_, neutral + range_))
        data["img"] = image
        return data


@manager.TRANSFORMS.add_component
class RandomBlur:
    """Blur with probability `prob`, with a square kernel of 3, 5, 7 or 9 pixels (drawn 1 : 2 : 2 : 2).

    An image that is blurred is first rounded down to 8 bits. One of more bits is not, and the largest kernel
    of its median is 5 pixels. The image becomes float32 in any case.

    Args:
        prob: the probability. PaddleSeg uses 1 / int(1 / prob) instead, so that 0.7 always blurs.
        blur_type: one of "gaussian", "median", "blur" (the mean) and "random". They are OpenCV's
            `GaussianBlur`, `medianBlur` and `blur`; "random" draws one of the three (with probabilities 0.3,
            0.3 and 0.4).

    Raises:
        UserError: `prob` is not in 0..1, or there is no such type.
    """

    takes_bytes = True

    def __init__(self, prob: float = 0.1, blur_type: str = "gaussian"):
        set_bounded(self, upper=1, prob=prob)
        choices = [*F.BLURS, "random"]
        require(blur_type in choices, self, f"blur_type must be one of {', '.join(choices)}", blur_type)
        self.blur_type = blur_type

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        if rng.random() < self.prob:
            side = rng.choice([3, 5, 7, 9], p=np.array([1, 2, 2, 2]) / 7)
            kind = self.blur_type
            if kind == "random":
                kind = rng.choice(["gaussian", "median", "blur"], p=[0.3, 0.3, 0.4])
            data["img"] = F.blur(in_depth_of(data, data["img"]), kind, int(side))
        data["img"] = data["img"].astype(np.float32)
        return data


@manager.TRANSFORMS.add_component
class RandomNoise:
    """Add Gaussian noise to every value with probability `prob`, and clip to 0..255, as float32.

    Args:
        prob: the probability.
        max_sigma: the largest standard deviation; for each image one is drawn from 0 .. max_sigma.

    Raises:
        UserError: `prob` is not in 0..1, or `max_sigma` not in 0..32767.
    """

    takes_bytes = True

    def __init__(self, prob: float = 0.5, max_sigma: float = 10.0):
        set_bounded(self, upper=1, prob=prob)
        set_bounded(self, upper=LARGEST_ARGUMENT, max_sigma=max_sigma)

    def __call__(self, data, rng=None):
        rng = F.as_rng(rng)
        if rng.random() < self.prob:
            sigma = np.float32(rng.uniform(0, self.max_sigma))
            noise = sigma * rng.standard_normal(data["img"].shape, np.float32)
            data["img"] = np.clip(data["img"] + noise, 0, 255)
        return data


@manager.TRANSFORMS.add_component
class Normalize:
    """Return (img / 255 - mean) / std as float32.

    Args:
        mean: a list of one value, or of one value for each channel.
        std: likewise; no value may be 0.

    Raises:
        UserError: `mean` or `std` is no such list, or does not fit the image's channels.
    """

    takes_bytes = True

    def __init__(self, mean: Sequence[float] = (0.5,), std: Sequence[float] = (0.5,)):
        for name, values in (("mean", mean), ("std", std)):
            is_list = isinstance(values, (list, tuple)) and len(values) > 0
            require(is_list, self, f"{name} must be a list of numbers", values)
        require(all(std), self, "std must hold no 0", std)
        rule = "mean and std must have as many numbers, or one"
        require(1 in (len(mean), len(std)) or len(mean) == len(std), self, rule, (len(mean), len(std)))
        self.mean = np.array(mean, np.float32)
        self.std = np.array(std, np.float32)

    def check(self, image):
        """Raise `UserError` unless mean and std fit the channels of an image, H x W x C or H x W."""
        channels = 1 if image.ndim == 2 else image.shape[2]
        needed = max(self.mean.size, self.std.size)
        rule = f"mean and std must fit an image of {channels} channels"
        require(needed in (1, channels), self, rule, needed)

    def __call__(self, data, rng=None):
        self.check(data["img"])
        data["img"] = F.normalize(data["img"], self.mean, self.std)
        return data
