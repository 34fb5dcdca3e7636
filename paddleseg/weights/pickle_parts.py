"""Stand-ins for the constructors of arrays and containers, the only callables that a pickle may name.

NumPy's own constructors never run, since they trust any shape, type and state.
"""

import math
import pickle
import re
from reprlib import repr as shortened  # values with shared parts can have an endless repr

import numpy as np

# The codes of dtypes: booleans, and whole, floating-point and complex numbers.
_NUMBERS = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)")
_MAX_AXES = 32


class Refused(pickle.UnpicklingError):
    """A pickle asks for something other than arrays and plain containers; the message names it."""


class StandIn:
    """Stands for a callable that a pickle names; it can only be called."""

    __slots__ = ("call", "name")

    def __init__(self, name, call):
        self.name = name
        self.call = call


class Budget:
    """Limits the bytes that stand-ins read and make in total, so that repeated calls cannot fill the memory.

    Args:
        size: bytes of the file. The data of an array from `paddle.save` count at most four times: as text,
            bytes, state and array.
    """

    def __init__(self, size):
        self._left = 8 * size + (8 << 20)

    def spend(self, values):
        """Count the arguments or the result of a call."""
        self._left -= sum(map(_bytes_of, values))
        if self._left < 0:
            raise Refused("it makes far more data than the file holds")


def _bytes_of(value):
    if isinstance(value, Array):
        return 0 if value.value is None else value.value.nbytes
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return 8 * len(value)
    if isinstance(value, (set, frozenset, dict)):
        return 32 * len(value)
    return 0


class Dtype:
    """A dtype of numbers, as `numpy.dtype.__reduce__` writes it."""

    def __init__(self, code, *_):
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise Refused(f"it holds an array of dtype {shortened(code)}")
        self.value = np.dtype(code)

    def set_state(self, state):
        """Set the byte order."""
        # The state is a version, the byte order, and then fields of structured dtypes.
        order, fields = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(field is not None for field in fields):
            raise Refused(f"it holds an array of dtype {shortened(state)}")
        self.value = self.value.newbyteorder(order)


class Array:
    """An array, as `numpy.ndarray.__reduce__` writes it."""

    value = None

    def set_state(self, state):
        """Set shape, dtype and data."""
        _, shape, dtype, fortran, data = state
        # Python 2's byte strings are read as text.
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data, dtype, shape, order):
    if not isinstance(dtype, Dtype) or not isinstance(data, (bytes, bytearray)):
        raise Refused("it holds an array of objects")
    few_axes = isinstance(shape, tuple) and len(shape) <= _MAX_AXES
    if not few_axes or not all(type(side) is int and side >= 0 for side in shape):
        raise pickle.UnpicklingError(f"an array of shape {shortened(shape)}")
    if len(data) != math.prod(shape) * dtype.value.itemsize:
        raise pickle.UnpicklingError(
            f"an array of shape {list(shape)} {dtype.value} has {len(data)} bytes of data"
        )
    return np.ndarray(shape, dtype.value, data, order=order).copy(order="K")


def _from_buffer(data, dtype, shape, order):
    array = Array()
    array.value = _array(data, dtype, shape, "F" if order == "F" else "C")
    return array


def _scalar(dtype, data):
    data = data.encode("latin1") if isinstance(data, str) else data
    return _array(data, dtype, (), "C")[()]


def _encode(text, encoding="utf-8"):
    # Protocols below 3 write bytes as a call of this.
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused(f"it calls _codecs.encode with {shortened(encoding)}")
    return text.encode("latin1")


def _static_tensor(source, names=None):
    # paddle.save writes a tensor of the static graph as eval("data", {"data": array}).
    if source != "data" or type(names) is not dict or not isinstance(names.get("data"), Array):
        raise Refused("it calls builtins.eval")
    return names["data"]


def members(items=()):
    """Return the items of a set as a list; refuse those that are not plain."""
    items = list(items)
    for item in items:
        check_key(item)
    return items


def _set(items=()):
    return set(members(items))


def frozen_members(items=()):
    """Return a frozenset of items; refuse those that are not plain."""
    return frozenset(members(items))


def _pairs(pairs=()):
    result = {}
    for key, value in pairs:
        check_key(key)
        result[key] = value
    return result


def check_key(key):
    """Refuse a key that is not text or a number: hashing tuples with shared parts can take for ever."""
    if not isinstance(key, (str, int, float, bytes, type(None))):
        raise Refused(f"it holds a {type(key).__name__} as a key")


ADMITTED = {
    ("collections", "OrderedDict"): _pairs,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): lambda *_: Array(),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: Array() for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("builtins", "tuple"): tuple,
    ("builtins", "list"): list,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): frozen_members,
    # Protocols below 3 write the data of an empty array as a call of this.
    ("builtins", "bytes"): lambda: b"",
    ("builtins", "eval"): _static_tensor,
}
