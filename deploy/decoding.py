"""Image files as arrays with all bits and bands that they hold.

`deploy/decoding.py` is a copy of this file, so that a deployed model sees the images that it was trained on.
Therefore it needs NumPy and OpenCV alone, and raises `ValueError` with a reason.
"""

import io
import struct
from typing import NamedTuple

import cv2
import numpy as np
import tiff

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a segment that states the size
_PNG_BANDS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_COMPRESSIONS = (6, 7)  # of a TIFF
_OWN_RANGES = ("uint8", "int8", "uint16", "int16")


class Header(NamedTuple):
    """What a file states of its image.

    Attributes:
        kind: jpeg, png, webp, bmp, tiff or npy; "" if it is another one, or damaged.
        width, height: as stored, before it is set upright; 0 if unknown.
        bits: of a value; 0 if unknown.
        bands: colours and alpha together; 0 if unknown.
        alpha: whether the last band is transparency.
        orientation: the EXIF tag, 1 (upright) to 8.
        lossy: whether the compression may change values.
    """

    kind: str = ""
    width: int = 0
    height: int = 0
    bits: int = 0
    bands: int = 0
    alpha: bool = False
    orientation: int = 1
    lossy: bool = False


def read_header(content):
    """Return the `Header` of a file's bytes."""
    kinds = {_JPEG_START: _jpeg, b"\x89PNG\r\n\x1a\n": _png, b"RIFF": _webp, b"BM": _bmp, b"\x93NUMPY": _npy}
    kinds.update(dict.fromkeys(_TIFF_STARTS, _tiff))
    for start, read in kinds.items():
        if content.startswith(start):
            try:
                return read(content)
            except (struct.error, IndexError, KeyError, ValueError, OverflowError):
                break  # whatever decodes it will say what is wrong
    return Header()


def decode(content, channels=3):
    """Return the upright image that a file's bytes hold, in the type of its values.

    Bands are in the order of the file, but three colours are blue, green and red, as OpenCV has them. A grey
    image is repeated for three channels; colours become grey for one channel; an alpha band is left out if
    there is one band too many.

    Args:
        content: bytes; PNG, JPEG, TIFF, a NumPy file (.npy) of H x W or H x W x N, or what OpenCV reads.
        channels: how many are wanted.

    Returns:
        H x W for one channel, else H x W x channels.

    Raises:
        ValueError: it is damaged, or its bands do not fit `channels`.
    """
    header = read_header(content)
    if header.kind == "npy":
        pixels = _fitted(np.atleast_3d(np.load(io.BytesIO(content), allow_pickle=False)), channels, header)
    elif header.kind == "tiff" and tiff.needs_read_bands(content, channels):
        pixels = _fitted(tiff.read_bands(content), channels, header)
    else:
        pixels = _by_opencv(unrotated(content, header), channels, header)
    return upright(pixels, header.orientation)


def to_bytes_range(pixels, value_range=None):
    """Return values on the scale 0..255, on which all transforms work: bytes as they are, others as float32.

    Args:
        pixels: an array; values outside of the range become its ends.
        value_range: (low, high), which become 0 and 255. Default: the range of the array's type.

    Raises:
        ValueError: there is no range, a value is no number, or the type cannot hold the range.
    """
    dtype = pixels.dtype
    if value_range is None:
        if dtype.name not in _OWN_RANGES:
            raise ValueError(f"its values are {dtype.name}, so img_range: [low, high] must state their range")
        value_range = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    low, high = (float(end) for end in value_range)
    if dtype == np.uint8 and (low, high) == (0, 255):
        return pixels
    if dtype.kind in "iu" and high > np.iinfo(dtype).max:
        raise ValueError(f"its values are {dtype.name}, which end below img_range {[low, high]}")
    if dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError("it holds values that are no numbers (NaN or infinite)")
    # float32 holds integers of 16 bits and more exactly, up to 24 bits.
    wide = dtype.itemsize > 2 and dtype != np.float32
    scaled = pixels.astype(np.float64 if wide else np.float32)
    scaled -= low
    scaled /= high - low
    scaled *= 255
    return np.clip(scaled, 0, 255, out=scaled).astype(np.float32, copy=False)


def upright(pixels, orientation):
    """Return an array that is stored with an EXIF orientation, 1 to 8, as it is meant to be seen."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def unrotated(content, header):
    """Return a file's bytes so that no decoder sets the image upright unless it is asked to."""
    if header.kind != "tiff" or header.orientation == 1:
        return content
    order, pages = tiff.pages_of(content)
    content, place = bytearray(content), pages[0][tiff.PLACE]
    content[place : place + 2] = struct.pack(f"{order}H", 1)
    return bytes(content)


def is_cut_jpeg(content):
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


def _by_opencv(content, channels, header):
    flag = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}.get(channels, cv2.IMREAD_UNCHANGED)
    if flag != cv2.IMREAD_UNCHANGED:
        flag |= cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    if pixels is None:
        raise ValueError("it is cut off, or not an image that OpenCV reads")
    if header.bits > 8 and pixels.dtype.itemsize == 1:
        raise ValueError(f"its values have {header.bits} bits, of which OpenCV reads 8")
    if flag == cv2.IMREAD_UNCHANGED:
        pixels = np.atleast_3d(pixels)
        count = pixels.shape[2]
        return _fitted(pixels[..., [2, 1, 0, 3][:count] if count > 1 else [0]], channels, header)
    return pixels


def _fitted(bands, channels, header):
    """Return bands in the file's order, H x W x N, as `decode` does."""
    if bands.ndim != 3:
        raise ValueError(f"it has {bands.ndim} axes; images are H x W or H x W x bands")
    if header.alpha and bands.shape[2] == channels + 1:
        bands = bands[..., :-1]
    count = bands.shape[2]
    if (count, channels) == (1, 3):
        bands = np.repeat(bands, 3, axis=2)
    elif (count, channels) == (3, 1):
        dtype, floats = bands.dtype, np.float64 if bands.dtype.itemsize > 2 else np.float32
        grey = bands.astype(floats) @ np.array([0.299, 0.587, 0.114], floats)
        bands = (np.rint(grey) if dtype.kind in "iu" else grey).astype(dtype)[..., np.newaxis]
    elif count != channels:
        place = "; bands are the last axis" if bands.shape[0] == channels else ""
        raise ValueError(f"it has {count} bands, and img_channels is {channels}{place}")
    if channels == 1:
        return bands[..., 0]
    return np.ascontiguousarray(bands[..., ::-1] if channels == 3 else bands)


# Headers, each of a kind of file.


def _jpeg(content):
    place, size, orientation = 2, (0, 0, 0), 1
    while content[place] == 0xFF and content[place + 1] != _JPEG_SCAN:
        if content[place + 1] == 0xFF:
            place += 1
            continue
        length = struct.unpack_from(">H", content, place + 2)[0]
        segment = content[place + 4 : place + 2 + length]
        if content[place + 1] in _JPEG_SIZES:
            size = struct.unpack_from(">xHHB", segment)
        elif content[place + 1] == 0xE1 and segment.startswith(b"Exif\0\0"):
            orientation = tiff.orientation(segment[6:])
        place += 2 + length
    return Header("jpeg", size[1], size[0], 8, size[2], False, orientation, True)


def _png(content):
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    place, orientation, transparent = 8, 1, False
    while place + 8 <= len(content):
        (length, kind) = struct.unpack_from(">I4s", content, place)
        if kind == b"eXIf":
            orientation = tiff.orientation(content[place + 8 : place + 8 + length])
        transparent |= kind == b"tRNS"
        place += 12 + length
    bands, alpha = _PNG_BANDS[colour] + transparent, transparent or colour in (4, 6)
    return Header("png", width, height, max(bits, 8), bands, alpha, orientation)


def _webp(content):
    place, size, alpha, orientation, lossy = 12, (0, 0), False, 1, False
    while place + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        body = content[place + 8 : place + 8 + length]
        if kind == b"VP8X":
            alpha = bool(body[0] & 0x10)
            size = tuple(int.from_bytes(body[i : i + 3], "little") + 1 for i in (4, 7))
        elif kind == b"VP8L":
            packed = int.from_bytes(body[1:5], "little")
            size, alpha = ((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1), bool(packed >> 28 & 1)
        elif kind == b"VP8 ":
            lossy, size = True, tuple(side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
        elif kind == b"EXIF":
            orientation = tiff.orientation(body[6:] if body.startswith(b"Exif\0\0") else body)
        place += 8 + length + length % 2
    return Header("webp", *size, 8, 4 if alpha else 3, alpha, orientation, lossy)


def _bmp(content):
    length, width, height, bits = struct.unpack_from("<Iii2xH", content, 14)
    # The mask of the alpha band, which older headers do not have.
    alpha = bits == 32 and length >= 56 and content[66:70] != bytes(4)
    return Header("bmp", width, abs(height), 8, 4 if alpha else 3, alpha)


def _npy(content):
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
    shape, _, dtype = read(stream)
    height, width, bands = (*shape, 1)[:3]
    return Header("npy", width, height, 8 * dtype.itemsize, bands)


def _tiff(content):
    _, pages = tiff.pages_of(content)
    page = pages[0]
    return Header(
        "tiff",
        page[tiff.WIDTH][0],
        page[tiff.HEIGHT][0],
        max(page[tiff.BITS]),
        sum(one[tiff.SAMPLES][0] for one in pages),
        tiff.has_alpha(page),
        tiff.orientation(content),
        page[tiff.COMPRESSION][0] in _JPEG_COMPRESSIONS,
    )
