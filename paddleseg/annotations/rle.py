"""COCO's run-length encoding: the lengths of runs of 0 and 1 in turn, down the columns, 0 first.

It takes few lines here, and no compiled package for them.
"""

import numpy as np

from paddleseg.errors import UserError

_FIRST, _MORE, _SIGN, _BITS = 48, 0x20, 0x10, 5  # of a character; the last three of its six bits
_LONGEST = 7  # characters of a number, which hold 35 bits


def decode_rle(counts, height, width):
    """Return the mask of an encoding: bool, height x width.

    Args:
        counts: a list of whole numbers, or COCO's compressed text.
        height, width: those of the mask.

    Raises:
        UserError: it is neither, or its runs do not cover the mask exactly.
    """
    counts = _uncompressed(counts) if isinstance(counts, (str, bytes)) else counts
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        raise UserError("its RLE holds runs that are no whole numbers of 0 or above")
    total = sum(counts)
    if total != height * width:
        raise UserError(
            f"the runs of its RLE cover {total} pixels, but {width} x {height} pixels are {width * height}"
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def _uncompressed(text):
    """Return the runs of a compressed encoding.

    A number is written in groups of 5 bits, the lowest first, each with a sixth bit that says whether another
    one follows. From the fourth number on, the difference to the number two places before is written.
    """
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    runs, number, shift = [], 0, 0
    for byte in content:
        code = byte - _FIRST
        if not 0 <= code < 64 or shift >= _LONGEST * _BITS:
            raise UserError("its RLE is damaged: it holds text that no encoder writes")
        number |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number, shift = 0, 0
    if shift:
        raise UserError("its RLE is cut off in the middle of a number")
    return runs
