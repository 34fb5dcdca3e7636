"""TIFF files of any number of bands, written by hand, as OpenCV and Pillow write at most four."""

import struct
import zlib

import numpy as np

_SIGNS = {"u": 1, "i": 2, "f": 3}


def tiff(array, order="<", planar=False, tile=None, compressed=False, predictor=1, **more):
    """Return the bytes of a TIFF of H x W x N.

    Args:
        array: integers or floats.
        order: "<" or ">".
        planar: whether each band is stored by itself.
        tile: (height, width) of its tiles; None for one strip.
        compressed: whether it is deflated.
        predictor: 2 for differences of integers, 3 for those of the bytes of floats.
        more: further tags of one whole number, t274=6.
    """
    array = np.atleast_3d(array)
    parts = [array[..., i : i + 1] for i in range(array.shape[2])] if planar else [array]
    blocks = [_stored(block, order, predictor) for part in parts for block in _blocks(part, tile)]
    blocks = [zlib.compress(block) if compressed else block for block in blocks]
    height, width, count = array.shape
    bits = 8 * array.itemsize
    tags = {256: [width], 257: [height], 258: [bits] * count, 259: [8 if compressed else 1], 262: [1]}
    tags.update(
        {277: [count], 284: [2 if planar else 1], 317: [predictor], 339: [_SIGNS[array.dtype.kind]] * count}
    )
    tags.update({int(tag[1:]): [value] for tag, value in more.items()})
    places = np.cumsum([8, *map(len, blocks)])[:-1].tolist()
    sizes = list(map(len, blocks))
    tags.update(
        {322: [tile[1]], 323: [tile[0]], 324: places, 325: sizes} if tile else {273: places, 279: sizes}
    )
    return _file(b"".join(blocks), tags, order)


def _blocks(part, tile):
    if tile is None:
        return [part]
    height, width = part.shape[:2]
    padded = np.pad(part, [(0, -height % tile[0]), (0, -width % tile[1]), (0, 0)])
    return [
        padded[y : y + tile[0], x : x + tile[1]]
        for y in range(0, padded.shape[0], tile[0])
        for x in range(0, padded.shape[1], tile[1])
    ]


def _stored(block, order, predictor):
    if predictor == 3:
        height, width, count = block.shape
        big = np.ascontiguousarray(block.astype(block.dtype.newbyteorder(">"))).view(np.uint8)
        planes = big.reshape(height, width * count, -1).transpose(0, 2, 1).reshape(height, -1, count)
        return np.diff(planes, axis=1, prepend=np.uint8(0)).astype(np.uint8).tobytes()
    if predictor == 2:
        block = np.diff(block, axis=1, prepend=block.dtype.type(0)).astype(block.dtype)
    return block.astype(block.dtype.newbyteorder(order)).tobytes()


def _file(data, tags, order):
    data += bytes(len(data) % 2)
    start = 8 + len(data)
    directory, behind = struct.pack(f"{order}H", len(tags)), b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        numbers = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            behind, numbers = behind + numbers, struct.pack(f"{order}I", after + len(behind))
        directory += struct.pack(f"{order}HHI", tag, 4, len(values)) + numbers
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, start)
    return head + data + directory + bytes(4) + behind
