"""Pure functions from one array to another, which the transforms are made of.

An image is H x W x C or H x W, a mask H x W; sizes are (width, height), as OpenCV's are. No function
changes its argument.
"""

import cv2
import numpy as np

INTERPOLATIONS = {
    "NEAREST": cv2.INTER_NEAREST,
    "LINEAR": cv2.INTER_LINEAR,
    "CUBIC": cv2.INTER_CUBIC,
    "AREA": cv2.INTER_AREA,
    "LANCZOS4": cv2.INTER_LANCZOS4,
}

_OPENCV_DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")


def as_rng(rng=None):
    """Return `rng`, or a `numpy.random.Generator` seeded from NumPy's global state if it is None."""
    return np.random.default_rng(np.random.randint(2**31)) if rng is None else rng


def rescale_size(size, target_size):
    """Return `size` scaled as far as its long and short side fit those of `target_size`."""
    scale = min(max(target_size) / max(size), min(target_size) / min(size))
    return tuple(round(side * scale) for side in size)


def scale_size(size, factor):
    """Return both sides times `factor`, rounded, at least 1."""
    return tuple(max(round(side * factor), 1) for side in size)


def resize(image, size, interp="LINEAR"):
    """Resize to `size` (width, height); `interp` is a key of `INTERPOLATIONS`."""
    if _has_many_bands(image):
        return _by_band(image, lambda band: resize(band, size, interp))
    if image.dtype.name in _OPENCV_DTYPES:
        return cv2.resize(image, tuple(size), interpolation=INTERPOLATIONS[interp])
    working = np.int32 if image.dtype.kind in "bui" else np.float32
    resized = cv2.resize(image.astype(working), tuple(size), interpolation=INTERPOLATIONS[interp])
    return resized.astype(image.dtype)


def flip(image, axis):
    """Mirror top and bottom (axis 0) or left and right (axis 1)."""
    if _has_many_bands(image) or image.dtype.name not in _OPENCV_DTYPES:
        return np.ascontiguousarray(np.flip(image, axis))
    # OpenCV drops the axis of a single channel.
    return cv2.flip(image, axis).reshape(image.shape)


def _has_many_bands(image):
    """Tell whether an image has more bands than OpenCV changes at once."""
    return image.ndim == 3 and image.shape[2] > 4


def _by_band(image, change):
    return np.stack([change(np.ascontiguousarray(band)) for band in np.moveaxis(image, 2, 0)], axis=2)


def _widened(image, value):
    """Return bytes as int32 if they cannot hold `value`, such as an ignored index of -1."""
    return image.astype(np.int32) if image.dtype == np.uint8 and not 0 <= value <= 255 else image


def pad(image, size, value, corner=(0, 0)):
    """Pad to at least `size` (width, height) with `value`, which is rounded for integers.

    `corner` (x, y) is the new place of the top left pixel; the default pads below and on the right.
    """
    (x, y), (height, width) = corner, image.shape[:2]
    full = (max(size[1], y + height), max(size[0], x + width))
    if full == (height, width):
        return image
    image = _widened(image, value)
    fill = int(np.rint(value)) if image.dtype.kind in "ui" else value
    padded = np.full(full + image.shape[2:], fill, image.dtype)
    padded[y : y + height, x : x + width] = image
    return padded


def is_byte(value):
    """Tell whether a number is a whole number in 0..255."""
    return 0 <= value <= 255 and value == int(value)


def crop(image, corner, size):
    """Cut out `size` (width, height) whose top left pixel is `corner` (x, y)."""
    (x, y), (width, height) = corner, size
    return image[y : y + height, x : x + width]


def rotation(size, angle):
    """Return the 2 x 3 matrix that rotates by `angle` degrees to the left, and the size of the whole result.

    `size` and the returned size are (width, height); the centre of the image becomes that of the result.
    """
    centre = (size[0] // 2, size[1] // 2)
    matrix = cv2.getRotationMatrix2D(centre, angle, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    around = (int(size[1] * sin + size[0] * cos), int(size[1] * cos + size[0] * sin))
    matrix[:, 2] += np.array(around) / 2 - centre
    return matrix, around


def fitting(size, target, angle, scale, shift):
    """Return the 2 x 3 matrix that moves centre to centre, rotates and scales about it, and then shifts.

    Args:
        size, target: (width, height) of the image and of the result.
        angle: degrees to the left.
        scale: 1 is the mean of the scale that fits the width and the scale that fits the height.
        shift: (x, y) in pixels.
    """
    # The centres of the last pixels are compared with the result's edges, as PaddleSeg does.
    reach = [max(side - 1, 1) for side in size]
    scale = scale * np.mean([wanted / there for wanted, there in zip(target, reach)])
    matrix = cv2.getRotationMatrix2D([side / 2 for side in target], angle, scale)
    centred = np.array(
        [[1, 0, (target[0] - size[0] + 1) / 2], [0, 1, (target[1] - size[1] + 1) / 2], [0, 0, 1]]
    )
    matrix = matrix @ centred
    matrix[:, 2] += shift
    return matrix


def warp(image, matrix, size, interp, value):
    """Map pixels by a 2 x 3 `matrix` to an image of `size` (width, height); `value` fills the rest."""
    if _has_many_bands(image):
        return _by_band(image, lambda band: warp(band, matrix, size, interp, value))
    image = _widened(image, value)
    working = image if image.dtype in (np.uint8, np.float32) else image.astype(np.float64)
    warped = cv2.warpAffine(
        working,
        matrix,
        tuple(size),
        flags=INTERPOLATIONS[interp],
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(value,) * (1 if image.ndim == 2 else image.shape[2]),
    )
    return warped.astype(image.dtype)


def as_bytes(image):
    """Return uint8: values clipped to 0..255, fractions dropped."""
    return image if image.dtype == np.uint8 else np.clip(image, 0, 255).astype(np.uint8)


BLURS = {
    "gaussian": lambda image, side: cv2.GaussianBlur(image, (side, side), 0),
    "median": cv2.medianBlur,
    "blur": lambda image, side: cv2.blur(image, (side, side)),
}


def blur(image, kind, side):
    """Blur with a square kernel of an odd `side` in pixels; `kind` is a key of `BLURS`.

    OpenCV's median of more than bytes has at most 5 pixels, so a larger `side` counts as 5.
    """
    if kind == "median" and image.dtype != np.uint8:
        side = min(side, 5)
    if _has_many_bands(image):
        return _by_band(image, lambda band: BLURS[kind](band, side))
    return BLURS[kind](image, side)


def normalize(image, mean, std):
    """Return (image / 255 - mean) / std as float32; `mean` and `std` are float32 of 1 or C values."""
    return (image.astype(np.float32) / 255.0 - mean) / std


def normalized_planes(image, mean, std):
    """Return the same numbers as `normalize`, as contiguous C x H x W and in a fraction of the time."""
    planes = (
        cv2.split(image) if image.dtype.name in _OPENCV_DTYPES else np.moveaxis(np.atleast_3d(image), 2, 0)
    )
    mean, std = (np.broadcast_to(values, len(planes)) for values in (mean, std))
    result = np.empty((len(planes), *image.shape[:2]), np.float32)
    bytes_ = np.arange(256, dtype=np.float32)
    for plane, place, m, s in zip(planes, result, mean, std):
        if image.dtype == np.uint8:
            cv2.LUT(plane, normalize(bytes_, m, s), place)
        else:
            np.divide(plane, np.float32(255), out=place, dtype=np.float32)
            place -= m
            place /= s
    return result


def _blend(base, image, factor):
    return np.clip(base + (image - base) * np.float32(factor), 0, 255)


def brightness(image, factor):
    """Multiply float32 RGB in 0..255 by `factor` (0 is black, 1 changes nothing), as Pillow does."""
    return _blend(np.float32(0), image, factor)


def contrast(image, factor):
    """Blend float32 RGB in 0..255 with its mean grey level: 0 is that grey, 1 changes nothing.

    The grey of an image that has not three channels is the mean of all of them.
    """
    grey = image if image.ndim == 2 or image.shape[2] != 3 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return _blend(np.float32(np.floor(grey.mean() + 0.5)), image, factor)


def saturation(image, factor):
    """Blend float32 RGB in 0..255 with its grey picture: 0 is grey, 1 changes nothing."""
    return _blend(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., np.newaxis], image, factor)


def sharpness(image, factor):
    """Blend float32 in 0..255 with its 3 x 3 smoothing: 0 is smooth, 1 changes nothing, 2 sharpens.

    The kernel is that of Pillow's `ImageFilter.SMOOTH`: fives at the centre, ones around it, over 13.
    """
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    smooth = lambda band: cv2.filter2D(band, -1, kernel / 13, borderType=cv2.BORDER_REPLICATE)  # noqa: E731
    return _blend(_by_band(image, smooth) if _has_many_bands(image) else smooth(image), image, factor)


def hue(image, shift):
    """Shift the hue of float32 RGB in 0..255 by `shift`, in 1/255 of the circle, as Pillow counts."""
    hsv = cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + shift * 360 / 255) % 360
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255, 0, 255)
