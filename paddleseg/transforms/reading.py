"""Image and mask files to arrays."""

import io
import os
import stat

import cv2
import numpy as np
from PIL import Image

from paddleseg.errors import SampleError, one_line

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA


def read_image(path, channels=3):
    """Read an image file as uint8: H x W x 3 in BGR order, or H x W if `channels` is 1.

    Raises:
        SampleError: the file is missing, cut off, or no image that OpenCV reads.
    """
    path = os.fspath(path)
    return decode_image(read_bytes(path, "image"), path, channels)


def decode_image(content, path, channels=3):
    """Return the uint8 image that a file's `content` holds, H x W x 3 (BGR), or H x W if `channels` is 1."""
    if _is_cut_jpeg(content):
        # OpenCV would fill the missing part with grey and only warn.
        raise SampleError(f"cannot read image {path!r}: it is cut off, the end of the JPEG is missing")
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise SampleError(f"cannot read image {path!r}: {one_line(error)}") from error
    if image is None:
        raise SampleError(f"cannot read image {path!r}: it is damaged, or no image that OpenCV decodes")
    return image


def read_mask(path):
    """Read a mask file as H x W class indices: uint8, or int32 if the file holds more than 8 bits.

    Pillow reads the file, since it returns the indices of a palette PNG; OpenCV would return the colours.

    Raises:
        SampleError: the file is missing, is no image, or does not hold one integer per pixel.
    """
    path = os.fspath(path)
    content = read_bytes(path, "mask")
    try:
        with Image.open(io.BytesIO(content)) as file:
            mode, mask = file.mode, np.array(file)
    except Exception as error:  # for a damaged file, Pillow's readers raise nearly anything
        raise SampleError(f"cannot read mask {path!r}: {one_line(error)}") from error
    return as_mask(mask, f"mask {path!r} ({mode})")


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


def _is_cut_jpeg(content):
    """Tell whether a JPEG lacks its end marker; that of a thumbnail in the header does not count."""
    if not content.startswith(_JPEG_START):
        return False
    place = 2
    # Each segment before the picture itself begins with its length.
    while place + 4 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == _JPEG_SCAN:
            return content.find(_JPEG_END, place) < 0
        if content[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return _JPEG_END not in content
