"""What a pickle may name, and what it gets instead: stand-ins for the constructors of arrays and containers.

NumPy's own constructors do not run: they trust the shapes, types and states that they are handed.
"""

import math
import pickle
import re
from reprlib import repr as shortened  # the whole of what shares its parts can be endless

import numpy as np

# Whole and floating-point numbers, booleans and complex ones, of the sizes that there are.
_NUMBERS = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)")
_MAX_AXES = 32


class Refused(pickle.UnpicklingError):
    """What a pickle asks for beyond arrays and plain containers, named."""


class StandIn:
    """What a pickle gets for a name: something that it can have called, and nothing else."""

    __slots__ = ("call", "name")

    def __init__(self, name, call):
        self.name = name
        self.call = call


class Budget:
    """How many bytes stand-ins may read and make in all, so that one of them named over and over is refused.

    Args:
        size: bytes of the file. The data of an array that `paddle.save` wrote pass at most four times, as
            text, bytes, state and array.
    """

    def __init__(self, size):
        self._left = 8 * size + (8 << 20)

    def spend(self, values):
        """Count what goes into a stand-in or comes out of it."""
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
    """A dtype of numbers, from what `numpy.dtype.__reduce__` writes."""

    def __init__(self, code, *_):
        # Of a dtype pickled by itself; where there is a state, it tells the order of bytes.
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise Refused(f"it holds an array of dtype {shortened(code)}")
        self.value = np.dtype(code)

    def set_state(self, state):
        """Take over the rest."""
        # Version, order of bytes, then what structured dtypes have.
        order, others = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(other is not None for other in others):
            raise Refused(f"it holds an array of dtype {shortened(state)}")
        self.value = self.value.newbyteorder(order)


class Array:
    """An array, from what `numpy.ndarray.__reduce__` writes."""

    value = None

    def set_state(self, state):
        """Take over shape, dtype and data."""
        _, shape, dtype, fortran, data = state
        # Python 2 wrote its byte strings as what is text today.
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data, dtype, shape, order):
    if not isinstance(dtype, Dtype) or not isinstance(data, (bytes, bytearray)):
        raise Refused("it holds an array of objects")
    sides = isinstance(shape, tuple) and len(shape) <= _MAX_AXES
    if not sides or not all(type(side) is int and side >= 0 for side in shape):
        raise pickle.UnpicklingError(f"an array of shape {shortened(shape)}")
    if len(data) != math.prod(shape) * dtype.value.itemsize:
        raise pickle.UnpicklingError(
            f"an array of shape {list(shape)} {dtype.value} has {len(data)} bytes of data"
        )
    return np.ndarray(shape, dtype.value, data, order=order).copy(order="K")


def _reconstruct(*_):
    return Array()


def _from_buffer(data, dtype, shape, order):
    array = Array()
    array.value = _array(data, dtype, shape, "F" if order == "F" else "C")
    return array


def _scalar(dtype, data):
    data = data.encode("latin1") if isinstance(data, str) else data
    return _array(data, dtype, (), "C")[()]


def _encode(text, encoding="utf-8"):
    # How protocols below 3 write bytes.
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused(f"it calls _codecs.encode with {shortened(encoding)}")
    return text.encode("latin1")


def _static_tensor(source, names=None):
    # A tensor of the static graph: paddle.save writes it as eval("data", {"data": array}).
    if source != "data" or type(names) is not dict or not isinstance(names.get("data"), Array):
        raise Refused("it calls builtins.eval")
    return names["data"]


def _no_bytes():
    # How protocols below 3 write the data of an empty array.
    return b""


def members(items=()):
    """Return the items of a set as a list, having seen that they are plain."""
    items = list(items)
    for item in items:
        check_key(item)
    return items


def _set(items=()):
    return set(members(items))


def frozen_members(items=()):
    """Return a frozenset of items, having seen that they are plain."""
    return frozenset(members(items))


def _pairs(pairs=()):
    made = {}
    for key, value in pairs:
        check_key(key)
        made[key] = value
    return made


def check_key(key):
    """Refuse a key that is no text or number: the hash of tuples that share their parts can take for ever."""
    if not isinstance(key, (str, int, float, bytes, type(None))):
        raise Refused(f"it holds a {type(key).__name__} as a key")


ADMITTED = {
    ("collections", "OrderedDict"): _pairs,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): _reconstruct,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("builtins", "tuple"): tuple,
    ("builtins", "list"): list,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): frozen_members,
    ("builtins", "bytes"): _no_bytes,
    ("builtins", "eval"): _static_tensor,
}
