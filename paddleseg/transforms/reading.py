"""Image and mask files to arrays."""

import io
import os
import stat

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from paddleseg.errors import SampleError, one_line
from paddleseg.transforms.decoding import (
    Header,
    decode,
    is_cut_jpeg,
    read_header,
    to_bytes_range,
    unrotated,
    upright,
)
from paddleseg.utils.pixel_limit import too_large

# One limit counts for images and masks, `pixel_limit`.
Image.MAX_IMAGE_PIXELS = None


def read_image(path, channels=3, img_range=None):
    """Read an image file on the scale 0..255: H x W x `channels`, or H x W if `channels` is 1.

    An image of 8 bits stays uint8. One of more bits, or with an `img_range`, becomes float32 and keeps its
    depth. Three channels are in BGR order, others in that of the file. EXIF data sets the image upright.

    Args:
        path: PNG, JPEG, TIFF, .npy (H x W or H x W x N) or what else OpenCV reads.
        channels: how many. Default 3.
        img_range: (low, high), the values that become 0 and 255; those beyond become the nearer one.
            Default: the range of the file's type, if that has 8 or 16 bits.

    Raises:
        SampleError: the file is missing, cut off, too large, or no image of so many channels.
    """
    path = os.fspath(path)
    return decode_image(read_bytes(path, "image"), path, channels, img_range)[0]


def decode_image(content, path, channels=3, img_range=None):
    """Return the image that a file's `content` holds, as `read_image` does, with what is known of the file.

    Returns:
        The image; its `Header`; and (type, lowest value, highest value) of values that are no bytes, else
        None.
    """
    refusal = f"cannot read image {path!r}"
    if is_cut_jpeg(content):
        # OpenCV would fill the missing part with grey and only warn.
        raise SampleError(f"{refusal}: it is cut off, the end of the JPEG is missing")
    header = read_header(content)
    reason = too_large(header.width, header.height)
    if reason:
        raise SampleError(f"{refusal}: {reason}")
    try:
        pixels = decode(content, channels)
        image = to_bytes_range(pixels, img_range)
        is_bytes = pixels.dtype == np.uint8
        return (
            image,
            header,
            None if is_bytes else (pixels.dtype.name, pixels.min().item(), pixels.max().item()),
        )
    except (ValueError, EOFError, MemoryError, cv2.error) as error:
        raise SampleError(f"{refusal}: {one_line(error)}") from error


def read_picture(path, channels=3, img_range=None):
    """Read an image file for people: uint8 H x W x 3, BGR; of more than four channels the first three.

    Args:
        path, channels, img_range: as in `read_image`.
    """
    image = read_image(path, channels, img_range)
    image = image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] < 3:
        return np.repeat(image.reshape(*image.shape[:2], -1)[..., :1], 3, axis=2)
    return image if channels == 3 else np.ascontiguousarray(image[..., 2::-1])


def read_mask(path):
    """Read a mask file as H x W class indices: uint8, or int32 if the file holds more than 8 bits.

    Pillow reads the file, since it returns the indices of a palette PNG; OpenCV would return the colours.
    EXIF data sets the mask upright, as it does an image.

    Raises:
        SampleError: the file is missing, too large, no image, or does not hold one integer per pixel.
    """
    path = os.fspath(path)
    return decode_mask(read_bytes(path, "mask"), path)[0]


def decode_mask(content, path):
    """Return the mask that a file's `content` holds, as `read_mask` does, and its `Header`."""
    refusal = f"cannot read mask {path!r}"
    header = read_header(content)
    try:
        with Image.open(io.BytesIO(unrotated(content, header))) as file:
            reason = too_large(*file.size)
            if reason is None:
                mode, mask = file.mode, np.array(file)
    except UnidentifiedImageError as error:  # its words name no file, but the bytes' address in memory
        raise SampleError(f"{refusal}: it is no image, such as a PNG, or is damaged") from error
    except Exception as error:  # for a damaged file, Pillow's readers raise nearly anything
        raise SampleError(f"{refusal}: {one_line(error)}") from error
    if reason:
        raise SampleError(f"{refusal}: {reason}")
    if header.kind == "tiff" and mask.ndim == 2 and header.bands > 1 and not header.alpha:
        raise SampleError(f"{refusal}: it holds {header.bands} pages or bands; masks hold one")
    return as_mask(upright(mask, header.orientation), f"mask {path!r} ({mode})"), header


def as_mask(mask, name="label"):
    """Return integers H x W as uint8 if they are bytes or booleans, else as int32, OpenCV's widest type.

    Raises:
        SampleError: it has another rank or another type; the message calls it `name`.
    """
    if mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise SampleError(
            f"{name} is {' x '.join(map(str, mask.shape))} {mask.dtype}: "
            "masks hold one class index per pixel, in a grey or palette image"
        )
    return mask.astype(np.uint8 if mask.dtype.itemsize == 1 and mask.dtype.kind != "i" else np.int32)


def doubts(image, mask, channels, size):
    """Return {kind: sentence} of what may be wrong with an image and its mask, although both can be read.

    Args:
        image, mask: (path, `Header`) each; None for one that was not read from a file.
        channels: those of the image as it was read.
        size: its (height, width).
    """
    found = {}
    path, header = image or (None, Header())
    if header.alpha and channels < header.bands:
        found["alpha"] = f"the image {path!r} has an alpha band, which is left out"
    if mask is None:
        return found
    mask_path, mask_header = mask
    if mask_header.lossy:
        found["lossy"] = (
            f"the mask {mask_path!r} is compressed with losses, which change classes at outlines; masks are "
            "PNG files"
        )
    turned = [one.orientation for one in (header, mask_header)]
    shown_by_size = size[0] != size[1] and (turned[0] >= 5) != (turned[1] >= 5)
    if turned[0] != turned[1] and not shown_by_size:
        found["orientation"] = (
            f"the EXIF orientation of the image {path!r} is {turned[0]}, that of its mask {mask_path!r} "
            f"{turned[1]} (1 is none), and their sizes do not show whether they agree; store both upright, "
            "without the tag"
        )
    return found


def read_bytes(path, noun):
    """Return the content of a file as bytes; messages call the file `noun`.

    Raises:
        SampleError: the file is missing or empty, or cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            # A device or a pipe may never end.
            raise SampleError(f"cannot read {noun} {path!r}: it is no plain file")
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise SampleError(f"cannot read {noun} {path!r}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: no file has a name with a null character
        raise SampleError(f"cannot read {noun} {path!r}: {one_line(error)}") from error
    if not content:
        raise SampleError(f"cannot read {noun} {path!r}: it is empty")
    return content
