"""Prepare a photograph for the model with the transforms that a deploy.yaml lists."""

import inspect
import math

import cv2
import numpy as np
from errors import ImageError, UserError, one_line

INTERPOLATIONS = {
    "NEAREST": cv2.INTER_NEAREST,
    "LINEAR": cv2.INTER_LINEAR,
    "CUBIC": cv2.INTER_CUBIC,
    "AREA": cv2.INTER_AREA,
    "LANCZOS4": cv2.INTER_LANCZOS4,
}


def steps_of(specs):
    """Return the functions, from image to image, of a deploy.yaml's transforms."""
    if not isinstance(specs, list) or not all(isinstance(spec, dict) and "type" in spec for spec in specs):
        raise UserError(f"the deploy.yaml's transforms must be a list of `type: ...`, not {specs!r}")
    return [step(spec) for spec in specs]


def step(spec):
    """Return the function of one transform, {type: ..., key: value}."""
    maker = STEPS.get(str(spec["type"]))
    if maker is None:
        raise UserError(
            f"infer.py does not know the transform {spec['type']}, only {', '.join(STEPS)}; give the "
            f"config an `export: transforms:` section without it and export again"
        )
    given = {key: value for key, value in spec.items() if key != "type"}
    try:
        return maker(**given)
    except (TypeError, ValueError, KeyError) as error:
        signature = inspect.signature(maker)
        raise UserError(f"the transform {spec!r} of the deploy.yaml: {error}; it takes {signature}") from None


def resize(target_size=(512, 512), interp="LINEAR", keep_ratio=False, size_divisor=None):
    interpolation = INTERPOLATIONS[interp]
    target_width, target_height = lengths("target_size", target_size, 2)
    (step,) = lengths("size_divisor", [size_divisor or 1], 1)

    def apply(image):
        width, height = target_width, target_height
        if keep_ratio:
            sides = image.shape[1], image.shape[0]
            scale = min(max(target_size) / max(sides), min(target_size) / min(sides))
            width, height = (round(side * scale) for side in sides)
        size = [max(math.ceil(side / step), 1) * step for side in (width, height)]
        return cv2.resize(image, size, interpolation=interpolation)

    return apply


def resize_by_long(long_size):
    lengths("long_size", [long_size], 1)
    return resized_by(lambda width, height: long_size / max(width, height))


def resize_by_short(short_size, max_size=1e10):
    sizes = short_size if isinstance(short_size, list) else [short_size]
    if len(sizes) != 1:
        raise ValueError("several sizes are for training, which draws one for each image")
    lengths("short_size", sizes, 1)
    most = float(max_size)

    def factor(width, height):
        short, long = sorted((width, height))
        fits = sizes[0] / short * long <= most
        return (sizes[0] if fits else int(most / long * short)) / short

    return resized_by(factor)


def limit_long(max_long=None, min_long=None):
    lengths("max_long and min_long", [limit or 1 for limit in (max_long, min_long)], 2)

    def factor(width, height):
        long = max(width, height)
        limited = min(long, max_long or long)
        return max(limited, min_long or limited) / long

    return resized_by(factor)


def lengths(name, values, count):
    """Return `values` if they are `count` numbers of pixels."""
    if len(values) != count or not all(isinstance(value, int) and value > 0 for value in values):
        raise ValueError(f"{name} must be whole numbers above 0, {count} of them, not {values!r}")
    return values


def resized_by(factor):
    """Return a function that resizes an image by `factor(width, height)`, each side to at least one pixel."""

    def apply(image):
        sides = image.shape[1::-1]
        scale = factor(*sides)
        size = [max(round(side * scale), 1) for side in sides]
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)

    return apply


def normalize(mean=(0.5,), std=(0.5,)):
    mean, std = np.float32(mean), np.float32(std)
    if not (mean.ndim == std.ndim == 1 and mean.size and std.size and std.all()):
        raise ValueError("mean and std must be lists of numbers, and std must hold no 0")
    return lambda image: (image / np.float32(255) - mean) / std


STEPS = {
    "Resize": resize,
    "ResizeByLong": resize_by_long,
    "ResizeByShort": resize_by_short,
    "LimitLong": limit_long,
    "Normalize": normalize,
}


def prepared(image, steps):
    """Return an image of `read_image` as the model's input: transformed, float32 1 x C x H x W."""
    image = image.astype(np.float32)
    try:
        for apply in steps:
            image = apply(image)
    except (ValueError, cv2.error) as error:  # such as three means for a grey image
        raise ImageError(f"the deploy.yaml's transforms do not suit it: {one_line(error)}") from None
    return np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)[None], dtype=np.float32)
