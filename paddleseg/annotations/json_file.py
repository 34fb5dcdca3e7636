"""Read JSON files of annotation tools, which may be damaged or hostile."""

import json
import os

import numpy as np

from paddleseg.errors import UserError, counted, one_line
from paddleseg.transforms.reading import read_bytes
from paddleseg.utils.signature import describe
from paddleseg.utils.sizes import available_memory, format_size

MEMORY_PER_BYTE = 3  # while a file is read: its bytes, its text, and some of its values
_MISSING = object()


def read_json(path):
    """Return what a JSON file holds, a dict. Messages leave it to the caller to name the file.

    Raises:
        UserError: it is missing, too large for the memory, no JSON, nested too deeply, or no mapping.
    """
    path = os.fspath(path)
    _check_size(path)
    try:
        value = json.loads(read_bytes(path, "annotations"))
    except RecursionError:
        raise UserError("its JSON is nested too deeply") from None
    except MemoryError:
        raise UserError("its JSON does not fit into the memory") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise UserError(f"it is no JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise UserError("its JSON is no mapping {...} at the top")
    return value


def _check_size(path):
    try:
        size = os.path.getsize(path)
    except (OSError, ValueError):
        return  # reading it will say why
    free = available_memory()
    if free is not None and MEMORY_PER_BYTE * size > free:
        raise UserError(
            f"it has {format_size(size)}, and reading it takes {MEMORY_PER_BYTE} times as much memory; "
            f"{format_size(free)} are free"
        )


def item(mapping, key, kinds, default=_MISSING):
    """Return the value of a key of a JSON mapping.

    Args:
        mapping: the dict; anything else is refused.
        key: the key.
        kinds: a type or several. `float` takes whole numbers as well; no number type takes true and false.
        default: the value if the key is missing or null. Without it, the key is required.

    Raises:
        UserError: the value is missing or of another type.
    """
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if value is None:
        if default is not _MISSING:
            return default
        raise UserError(f"it has no {key!r}")
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    fitting = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, fitting) or isinstance(value, bool):
        words = " or ".join(describe(kind) for kind in kinds)
        raise UserError(f"its {key!r} must be {words}, not {repr(value)[:60]}")
    return value


def numbers(value, what, least=1):
    """Return pairs of numbers, a JSON list of [x, y] or a flat list x, y, x, y, as float64, N x 2.

    Args:
        value: the list.
        what: what it is, for messages, such as "polygon".
        least: the smallest number of pairs. Default 1.

    Raises:
        UserError: it is no such list, is too short, or holds NaN or infinite numbers.
    """
    try:
        array = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        array = np.empty(())
    if array.ndim == 1 and array.size % 2 == 0:
        array = array.reshape(-1, 2)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise UserError(f"its {what} is no list of points [x, y]")
    if len(array) < least:
        raise UserError(f"its {what} has {counted(len(array), 'point')}, but needs {least}")
    return array
