"""Read pickles of arrays and plain containers without running anything that they name.

Python's own unpickler calls any function that a file names, so a downloaded `.pdparams` could do anything.
This unpickler knows only the instructions that build plain values. A pickle may name only the callables in
`pickle_parts`, and calls stand-ins instead.
"""

import _compat_pickle
import contextlib
import os
import pickle
import pickletools

import numpy as np

from paddleseg.errors import UserError, one_line
from paddleseg.weights.pickle_parts import (
    ADMITTED,
    Array,
    Budget,
    Dtype,
    Refused,
    StandIn,
    check_key,
    frozen_members,
    members,
)

# `paddle.save` cuts big arrays into slices under protocols 2 and 3. Paddle 2 adds a table of internal names.
_SLICES_KEY = "UnpackBigParamInfor@@"
_NAMES_KEY = "StructuredToParameterName@@"
_START = 64  # bytes by which a message names a file that is no pickle
_NAMES_SINCE_2, _MODULES_SINCE_2 = _compat_pickle.NAME_MAPPING, _compat_pickle.IMPORT_MAPPING


def read_pickle(path):
    """Return the content of a file of `paddle.save`, as plain containers of NumPy arrays.

    The result is that of `paddle.load(path, return_numpy=True)` for any file of arrays, numbers, texts,
    dicts, lists, tuples and sets from Paddle 2.0 to 3.x, under any of its protocols, but an `OrderedDict`
    becomes a dict. Nothing that the file names is imported or called.

    Args:
        path: the file, such as `model.pdparams` or `model.pdopt`.

    Raises:
        UserError: the file is damaged or not a pickle; or it calls a function, which the message names, such
            as `posix.system`.
    """
    with errors_of(path), open(path, "rb") as file:
        return _as_paddle_load_returns(plain(SafeUnpickler(Bounded(file)).load()))


@contextlib.contextmanager
def errors_of(path, remedy=""):
    """Turn the errors of reading the file `path` into `UserError`; `remedy` ends the message of a refusal."""
    try:
        yield
    except Refused as refusal:
        raise UserError(
            f"{path} is refused: {one_line(refusal)[:300]}; weights are only arrays and plain values{remedy}"
        ) from None
    except Exception as error:  # the instructions of a damaged file can raise nearly anything
        raise UserError(f"{path} cannot be read as weights: {one_line(error)[:300]}") from error


class Bounded:
    """A file whose reads ask for no more than its size, whatever length a pickle states."""

    def __init__(self, file):
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.start = file.peek(1)[:_START]
        self.readline = file.readline

    def read(self, size):
        return self._file.read(min(size, self.size))


# The instructions of protocols 2 to 5 that build plain values. Paddle never writes protocol 0, which is text.
# fmt: off
_BUILDING = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "EMPTY_SET", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT", "MEMOIZE",
    "GLOBAL", "STACK_GLOBAL",
)
# fmt: on


class Instructions(dict):
    """The function of each instruction by its code; any other instruction is refused by name."""

    def __missing__(self, code):
        known = pickletools.code2op.get(chr(code))
        if known is None:
            raise pickle.UnpicklingError(f"there is no pickle instruction {code}")
        raise Refused(f"it uses the pickle instruction {known.name}")


class SafeUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python, with fewer instructions.

    Args:
        file: a `Bounded` file.
        size: bytes of all files that the pickle describes. Default those of `file`.

    Attributes:
        admitted: {(module, name): stand-in} of all that a pickle may name.
    """

    admitted = ADMITTED

    def __init__(self, file, size=None):
        super().__init__(file, encoding="latin1")
        self._file_start = file.start
        self._budget = Budget(file.size if size is None else size)

    def find_class(self, module, name):
        if self.proto < 3:
            # Protocols below 3 still use Python 2's names.
            module, name = _NAMES_SINCE_2.get((module, name), (_MODULES_SINCE_2.get(module, module), name))
        call = self.admitted.get((module, name))
        if call is None:
            raise Refused(f"it calls {module}.{name}")
        return StandIn(f"{module}.{name}", call)

    def load(self):
        # The bytes of a text or a picture are instructions too, and a message about those would mislead.
        if not self._file_start.startswith(pickle.PROTO):
            raise pickle.UnpicklingError(_what_it_is(self._file_start))
        return super().load()

    def load_reduce(self):
        arguments = self.stack.pop()
        called = self.stack[-1]
        if not isinstance(called, StandIn) or not isinstance(arguments, tuple):
            raise Refused(f"it calls a {type(called).__name__}")
        self._budget.spend(arguments)
        self.stack[-1] = called.call(*arguments)
        self._budget.spend(self.stack[-1:])

    def load_build(self):
        state = self.stack.pop()
        built = self.stack[-1]
        if not isinstance(built, (Array, Dtype)) or not isinstance(state, tuple):
            raise Refused(f"it sets the state of a {getattr(built, 'name', type(built).__name__)}")
        self._budget.spend(state)
        built.set_state(state)
        self._budget.spend([built])

    def load_setitem(self):
        check_key(self.stack[-2])
        self._dict_below(-3)
        super().load_setitem()

    def load_setitems(self):
        for key in self.stack[::2]:
            check_key(key)
        items = self.pop_mark()
        self._dict_below(-1).update(zip(items[::2], items[1::2]))

    def load_additems(self):
        items = self.pop_mark()
        set.update(self.stack[-1], members(items))

    def load_frozenset(self):
        items = self.pop_mark()
        self.append(frozen_members(items))

    def load_bytearray8(self):
        # Read before the array is made, since the file may be shorter than it states.
        (size,) = np.frombuffer(self.read(8), "<u8")
        data = self.read(int(size))
        self.append(bytearray(data))

    def _dict_below(self, place):
        if type(self.stack[place]) is not dict:
            raise pickle.UnpicklingError(f"it puts items into a {type(self.stack[place]).__name__}")
        return self.stack[place]

    _own = {
        pickle.REDUCE: load_reduce,
        pickle.BUILD: load_build,
        pickle.SETITEM: load_setitem,
        pickle.SETITEMS: load_setitems,
        pickle.ADDITEMS: load_additems,
        pickle.FROZENSET: load_frozenset,
        pickle.BYTEARRAY8: load_bytearray8,
    }
    _codes = [getattr(pickle, name)[0] for name in _BUILDING]
    dispatch = Instructions(zip(_codes, map(pickle._Unpickler.dispatch.get, _codes)))
    dispatch.update((code[0], method) for code, method in _own.items())


def _what_it_is(start):
    """Return what a file that begins with these bytes is, where it is no pickle of weights."""
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; git lfs pull fetches the weights"
    first_line = start.splitlines()[0].strip()
    if first_line.isascii() and first_line.decode("ascii").isprintable():
        return f"it is a text that begins with {first_line.decode('ascii')[:40]!r}"
    return "neither paddle.save nor torch.save wrote it"


def plain(value):
    """Return what an unpickler has built, with arrays in place of stand-ins."""
    return _Plain().plain(value)


class _Plain:
    """Replaces stand-ins of arrays, and Paddle's pairs of name and array, with arrays."""

    def __init__(self):
        self._done = {}

    def plain(self, value):
        """Return the plain value; objects in it that are shared, or contain themselves, stay so."""
        if isinstance(value, (StandIn, Dtype)):
            raise Refused(f"it holds {getattr(value, 'name', 'a dtype')} as a value")
        if isinstance(value, Array):
            if value.value is None:
                raise pickle.UnpicklingError("an array has no data")
            return value.value
        if not isinstance(value, (dict, list, tuple)):
            return value
        if id(value) not in self._done:
            # The original is stored too, so that no other object gets its id.
            self._done[id(value)] = (value, value)
            self._done[id(value)] = (value, self._inside(value))
        return self._done[id(value)][1]

    def _inside(self, value):
        if isinstance(value, tuple):
            items = tuple(self.plain(item) for item in value)
            named = len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], np.ndarray)
            return items[1] if named else items
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = self.plain(item)
        return value


def _as_paddle_load_returns(value):
    """Join the slices of big arrays and drop Paddle's table of names, both at the top level only."""
    if not isinstance(value, dict):
        return value
    used = set()
    tables = value.pop(_SLICES_KEY, {})
    for key, table in tables.items():
        for name in table["slices"]:
            check_key(name)
            if name in used or name in tables or not isinstance(value[name], np.ndarray):
                raise pickle.UnpicklingError(f"{name} is used twice as a slice of a big array, or is not one")
            used.add(name)
        value[key] = np.concatenate([value[name] for name in table["slices"]]).reshape(table["OriginShape"])
    return {key: item for key, item in value.items() if key not in used and key != _NAMES_KEY}
