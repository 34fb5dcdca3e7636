"""What transforms do to one array, with every choice already made.

An image is H x W x C or H x W, a mask H x W; sizes are (width, height), as OpenCV's are. No function
changes its argument.
"""

import os

import cv2
import numpy as np
from PIL import Image

from paddleseg.errors import UserError

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


def read_image(path, channels=3):
    """Read an image file as float32 in 0..255: H x W x 3 in BGR order, or H x W if `channels` is 1.

    Raises:
        UserError: the file is missing or is no image that OpenCV reads.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise UserError(f"cannot read image {path!r}: there is no such file")
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"cannot read image {path!r}: it is damaged, or no image that OpenCV decodes")
    return image.astype(np.float32)


def read_mask(path):
    """Read a mask file as H x W class indices: uint8, or int32 if the file holds more than 8 bits.

    Palette PNGs give their indices, which is why Pillow reads them: OpenCV would give their colours.

    Raises:
        UserError: the file is missing, is no image, or holds anything but one integer a pixel.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise UserError(f"cannot read mask {path!r}: there is no such file")
    try:
        with Image.open(path) as file:
            mode, mask = file.mode, np.array(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read mask {path!r}: {error}") from error
    return as_mask(mask, f"mask {path!r} ({mode})")


def as_mask(mask, name="label"):
    """Return integers H x W as uint8 if they are bytes or booleans, else as int32, OpenCV's widest.

    Raises:
        UserError: it has another rank or another type; the message calls it `name`.
    """
    if mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise UserError(
            f"{name} is {' x '.join(map(str, mask.shape))} {mask.dtype}: "
            "masks hold one class index per pixel, in a grey or palette image"
        )
    return mask.astype(np.uint8 if mask.dtype.itemsize == 1 and mask.dtype.kind != "i" else np.int32)


def rescale_size(size, target_size):
    """Scale `size` to the largest that fits `target_size`, long side with long and short with short."""
    scale = min(max(target_size) / max(size), min(target_size) / min(size))
    return tuple(round(side * scale) for side in size)


def resize(image, size, interp="LINEAR"):
    """Resize to `size` (width, height); `interp` is a key of `INTERPOLATIONS`."""
    if image.dtype.name in _OPENCV_DTYPES:
        return cv2.resize(image, tuple(size), interpolation=INTERPOLATIONS[interp])
    working = np.int32 if image.dtype.kind in "bui" else np.float32
    resized = cv2.resize(image.astype(working), tuple(size), interpolation=INTERPOLATIONS[interp])
    return resized.astype(image.dtype)


def horizontal_flip(image):
    """Mirror left and right."""
    return np.ascontiguousarray(image[:, ::-1])


def pad_bottom_right(image, size, value):
    """Pad below and on the right to at least `size` (width, height) with `value`, rounded for integers."""
    height, width = max(size[1], image.shape[0]), max(size[0], image.shape[1])
    if (height, width) == image.shape[:2]:
        return image
    fill = int(np.rint(value)) if image.dtype.kind in "ui" else value
    padded = np.full((height, width) + image.shape[2:], fill, image.dtype)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def crop(image, corner, size):
    """Cut out `size` (width, height) whose top left pixel is `corner` (x, y)."""
    (x, y), (width, height) = corner, size
    return image[y : y + height, x : x + width]


def normalize(image, mean, std):
    """Return (image / 255 - mean) / std as float32; `mean` and `std` are float32 of 1 or C values."""
    return (image.astype(np.float32) / 255.0 - mean) / std


def _blend(base, image, factor):
    return np.clip(base + (image - base) * np.float32(factor), 0, 255)


def brightness(image, factor):
    """Scale float32 RGB in 0..255 by `factor` (0 is black, 1 changes nothing), as Pillow does."""
    return _blend(np.float32(0), image, factor)


def contrast(image, factor):
    """Blend float32 RGB in 0..255 with its mean grey level: 0 is that grey, 1 changes nothing."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
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
    return _blend(cv2.filter2D(image, -1, kernel / 13, borderType=cv2.BORDER_REPLICATE), image, factor)


def hue(image, shift):
    """Turn the hue of float32 RGB in 0..255 by `shift`, in 1/255 of the full circle, as Pillow counts."""
    hsv = cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + shift * 360 / 255) % 360
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255, 0, 255)
