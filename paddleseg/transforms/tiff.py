"""TIFF files of any number of bands and any depth, and the directories in them, which EXIF data has too.

OpenCV has neither more than four bands nor, in colour, floats. So it is shown the same file with another
directory: one grey image whose rows are the bytes of all bands.

`deploy/tiff.py` is a copy of this file.
"""

import struct

import cv2
import numpy as np

_TIFF_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8"}
WIDTH, HEIGHT, BITS, COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _ORIENTATION, SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 274, 277, 278, 279, 284
_PREDICTOR, _EXTRA, _FORMAT = 317, 338, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
# None, LZW, Deflate, PackBits, Deflate again, LZMA and Zstandard, which not every OpenCV knows.
_RAW_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)
PLACE = "place of the orientation"
_NUMBERS = {1: "u", 2: "i", 3: "f", 4: "u"}


def _start(content):
    """Return (byte order, whether it is a BigTIFF, where the first directory is)."""
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    if struct.unpack_from(f"{order}H", content, 2)[0] == 43:
        return order, True, struct.unpack_from(f"{order}Q", content, 8)[0]
    return order, False, struct.unpack_from(f"{order}I", content, 4)[0]


def _directory(content, order, is_big, place):
    """Return a directory as {tag: numbers}, and where the next one is."""
    count_form, entry, offset_form = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + count_form, content, place)
    place += struct.calcsize(f"={count_form}")
    tags = {}
    for start in range(place, place + entry * min(count, 4096), entry):
        tag, kind, length = struct.unpack_from(f"{order}HH{offset_form}", content, start)
        values = start + (12 if is_big else 8)
        if kind not in _TIFF_TYPES:
            continue
        dtype = np.dtype(order + _TIFF_TYPES[kind])
        if length * dtype.itemsize > struct.calcsize(f"={offset_form}"):
            (values,) = struct.unpack_from(order + offset_form, content, values)
        tags[tag] = np.frombuffer(content, dtype, length, values).tolist()
        if tag == _ORIENTATION:
            tags[PLACE] = values
    return tags, struct.unpack_from(order + offset_form, content, place + entry * count)[0]


def pages_of(content):
    """Return the byte order and the directories of the first image, and of those of its size and type."""
    order, is_big, place = _start(content)
    pages, seen = [], set()
    while place and place not in seen and len(pages) < 4096:
        seen.add(place)
        page, place = _directory(content, order, is_big, place)
        if WIDTH not in page or page.get(254, [0])[0] & 5:  # no image, a smaller copy, or its mask
            continue
        for tag, value in ((BITS, 1), (COMPRESSION, 1), (_PHOTOMETRIC, 1), (SAMPLES, 1), (_FORMAT, 1)):
            page.setdefault(tag, [value])
        same = (WIDTH, HEIGHT, BITS, _FORMAT)
        if not pages or all(page[tag] == pages[0][tag] for tag in same):
            pages.append(page)
    return order, pages


def needs_read_bands(content, channels):
    """Tell whether the bands of a TIFF must be read as they are, since OpenCV would change or lose some."""
    _, pages = pages_of(content)
    page, photometric = pages[0], pages[0][_PHOTOMETRIC][0]
    if channels not in (1, 3) or len(pages) > 1:
        return True
    if photometric not in (0, 1, 2):  # a palette, for example, or compressed colours
        return False
    is_plain = max(page[BITS]) <= 8 and _NUMBERS.get(page[_FORMAT][0]) == "u"
    colours = 3 if photometric == 2 else 1
    return not (is_plain and page[SAMPLES][0] - has_alpha(page) == colours)


def has_alpha(page):
    """Tell whether the last band of a page is transparency."""
    return page.get(_EXTRA, [0])[-1] in (1, 2)


def orientation(exif):
    """Return the orientation, 1 to 8, that a TIFF or EXIF data states; 1 if it states none."""
    try:
        value = _directory(exif, *_start(exif))[0][_ORIENTATION][0]
    except (struct.error, IndexError, KeyError, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def read_bands(content):
    """Return the bands of a TIFF, H x W x N, in their type and order; pages of equal size are bands, too.

    Raises:
        ValueError: it is damaged, or stored in a way that is not supported.
    """
    try:
        order, pages = pages_of(content)
        return np.concatenate([_bands_of(content, order, page) for page in pages], axis=2)
    except (struct.error, IndexError, KeyError, OverflowError, cv2.error) as error:
        raise ValueError(f"it is damaged, or no TIFF that is supported ({error!r:.60})") from error


def _bands_of(content, order, page):
    """Return the bands of a TIFF's page, H x W x N."""
    bits, number = set(page[BITS]), _NUMBERS.get(page[_FORMAT][0])
    compression = page[COMPRESSION][0]
    if len(bits) > 1 or not bits <= {8, 16, 32, 64} or number is None or (number, *bits) == ("f", 8):
        raise ValueError(
            f"its values have {' and '.join(map(str, sorted(bits)))} bits, which is not supported"
        )
    if compression not in _RAW_COMPRESSIONS or page[_PHOTOMETRIC][0] == 3:
        raise ValueError(
            f"more than three bands, or 8 bits, are not supported in TIFF compression {compression}"
        )
    dtype = np.dtype(f"{order}{number}{bits.pop() // 8}")
    samples = page[SAMPLES][0]
    planes = samples if page.get(_PLANAR, [1])[0] == 2 else 1
    return np.concatenate(
        [_plane(content, order, page, (i, planes), samples // planes, dtype) for i in range(planes)], axis=2
    )


def _plane(content, order, page, which, count, dtype):
    """Return the `count` bands that are stored together in plane i of n, `which` = (i, n)."""
    width, height = page[WIDTH][0], page[HEIGHT][0]
    block = page[_TILE_WIDTH][0] if _TILES in page else width
    full = -(-width // block) * block  # tiles reach beyond the image
    pixel = count * dtype.itemsize
    tags = {WIDTH: [full * pixel], HEIGHT: [height], BITS: [8], COMPRESSION: page[COMPRESSION]}
    tags.update({_PHOTOMETRIC: [1], _FILL_ORDER: page.get(_FILL_ORDER, [1]), SAMPLES: [1], _PLANAR: [1]})
    if _TILES in page:
        tags.update({_TILE_WIDTH: [block * pixel], _TILE_HEIGHT: page[_TILE_HEIGHT]})
    else:
        tags[_ROWS] = [min(page.get(_ROWS, [height])[0], height)]
    for tag in (_TILES, _TILE_BYTES) if _TILES in page else (_STRIPS, _STRIP_BYTES):
        share = len(page[tag]) // which[1]
        tags[tag] = page[tag][which[0] * share : (which[0] + 1) * share]
    rows = cv2.imdecode(np.frombuffer(_with_directory(content, order, tags), np.uint8), cv2.IMREAD_UNCHANGED)
    if rows is None or rows.shape != (height, full * pixel):
        raise ValueError("it is cut off, or not a TIFF that OpenCV reads")
    predictor = page.get(_PREDICTOR, [1])[0]
    blocks = [
        _predicted(rows[:, start : start + block * pixel], predictor, count, dtype)
        for start in range(0, full * pixel, block * pixel)
    ]
    return np.concatenate(blocks, axis=1)[:, :width]


def _predicted(rows, predictor, count, dtype):
    """Return the values, H x W x count, of bytes that a TIFF may hold as differences to their neighbours."""
    height, size, native = len(rows), dtype.itemsize, dtype.newbyteorder("=")
    if predictor == 3:  # the bytes of floats, first all the highest ones
        sums = np.cumsum(rows.reshape(height, -1, count), axis=1, dtype=np.uint8)
        planes = sums.reshape(height, size, -1).transpose(0, 2, 1)
        values = np.ascontiguousarray(planes).view(dtype.newbyteorder(">"))
        return values.reshape(height, -1, count).astype(native)
    values = np.ascontiguousarray(rows).view(dtype).reshape(height, -1, count).astype(native)
    return np.cumsum(values, axis=1, dtype=native) if predictor == 2 else values


def _with_directory(content, order, tags):
    """Return a TIFF with the same data and another directory, {tag: whole numbers}."""
    content = bytearray(content)
    content += bytes(len(content) % 2)
    entries = []
    for tag, values in sorted(tags.items()):
        numbers = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            place = struct.pack(f"{order}I", len(content))
            content += numbers
            numbers = place
        entries.append(struct.pack(f"{order}HHI", tag, 4, len(values)) + numbers)
    content[:8] = content[:2] + struct.pack(f"{order}HI", 42, len(content))
    content += struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return bytes(content)
