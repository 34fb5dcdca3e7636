"""Read files of `torch.save` without PyTorch, and without running anything that they name.

A file since PyTorch 1.6 is an uncompressed zip: `data.pkl`, a pickle, names storages, and `data/KEY` holds
the numbers of one. An older file is one pickle after the other, and then the storages. Both pickles are read
by the unpickler of `safe_pickle`, which also knows stand-ins for tensors here.
"""

import io
import math
import os
import pickle
import zipfile

import numpy as np

from paddleseg.weights.pickle_parts import ADMITTED, Array, Refused, StandIn
from paddleseg.weights.safe_pickle import Bounded, Instructions, SafeUnpickler, errors_of, plain

# The number with which a file from before PyTorch 1.6 begins, as a pickle.
_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_OLD_START = pickle.dumps(_OLD_MAGIC, protocol=2)
_OLD_VERSION = 1001
_ZIP_START = b"PK\x03\x04"
_REMEDY = "; in PyTorch, torch.save(model.state_dict(), FILE) writes such a file"

# {class of a storage: NumPy's dtype}. A bfloat16 becomes the uint16 of its bits, as in Paddle.
_DTYPES = {
    "BFloat16Storage": "u2",
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "ComplexDoubleStorage": "c16",
    "ComplexFloatStorage": "c8",
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "IntStorage": "i4",
    "LongStorage": "i8",
    "ShortStorage": "i2",
}


def is_torch_file(path):
    """Return whether a file begins as those of `torch.save` do."""
    with open(path, "rb") as file:
        return file.read(len(_OLD_START)).startswith((_ZIP_START, _OLD_START))


def read_torch_file(path):
    """Return the content of a file of `torch.save`, as plain containers of NumPy arrays.

    Args:
        path: a `.pth` or `.pt` file, by any PyTorch from 0.4 on.

    Returns:
        What `torch.load` returns, with arrays for tensors and parameters, and dicts for an `OrderedDict`.

    Raises:
        UserError: the file is damaged; or it holds anything else, such as a whole model or a program of
            TorchScript, or calls a function. The message names what.
    """
    with errors_of(path, _REMEDY), open(path, "rb") as file:
        if file.read(len(_ZIP_START)) != _ZIP_START:
            return plain(_read_old(Bounded(file)))
        with zipfile.ZipFile(file) as archive:
            return plain(_read_zip(archive, os.path.getsize(path)))


def _read_zip(archive, size):
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError("a zip without PyTorch's data.pkl")
    prefix = pickles[0][: -len("data.pkl")]
    if prefix + "constants.pkl" in archive.namelist():
        raise Refused("it is a program of TorchScript")

    def content(name):
        if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise Refused(f"its member {name} is compressed, which PyTorch never does")
        return archive.read(name)

    order = content(prefix + "byteorder") if prefix + "byteorder" in archive.namelist() else b"little"
    orders = {b"little": "<", b"big": ">"}
    storages = _Storages(size, orders[order], lambda key: content(f"{prefix}data/{key}"))
    stream = Bounded(io.BufferedReader(io.BytesIO(content(pickles[0]))))
    return _TorchUnpickler(stream, size, storages).load()


def _read_old(file):
    heads = [SafeUnpickler(file).load() for _ in range(3)]
    if heads[:2] != [_OLD_MAGIC, _OLD_VERSION] or not isinstance(heads[2], dict):
        raise ValueError("another version of PyTorch's old format")
    storages = _Storages(file.size, "<" if heads[2].get("little_endian", True) else ">")
    content = _TorchUnpickler(file, file.size, storages).load()
    for key in SafeUnpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        storages.fill(key, count, file)
    storages.check_filled()
    return content


class _Storages:
    """The storages of one file, each a one-dimensional array that tensors are views of.

    Args:
        size: bytes of the file; all storages together have no more.
        order: byte order, "<" or ">".
        content: a function that returns the bytes of a storage by its key; None if `fill` does.
    """

    def __init__(self, size, order, content=None):
        self._left = size
        self._order = order
        self._content = content
        self._arrays = {}
        self._empty = set()

    def array(self, key, dtype, count):
        """Return the storage `key` of `count` numbers, the same array each time."""
        if key not in self._arrays:
            self._left -= count * dtype.itemsize
            if self._left < 0:
                raise Refused("it makes more data than the file holds")
            if self._content is None:
                self._arrays[key] = np.empty(count, dtype.newbyteorder(self._order))
                self._empty.add(key)
            else:
                self._arrays[key] = np.frombuffer(self._content(key), dtype.newbyteorder(self._order))
        array = self._arrays[key]
        if array.size != count or array.itemsize != dtype.itemsize or array.dtype.kind != dtype.kind:
            raise pickle.UnpicklingError(f"the storage {key} does not hold {count} numbers of {dtype}")
        return array

    def fill(self, key, count, file):
        """Read the numbers of the storage `key` from an old file."""
        array = self._arrays[key]
        data = file.read(array.nbytes)
        if count != array.size or len(data) != array.nbytes:
            raise pickle.UnpicklingError(f"the storage {key} is cut off")
        array[:] = np.frombuffer(data, array.dtype)
        self._empty.discard(key)

    def check_filled(self):
        """Raise an error if a storage has got no numbers."""
        if self._empty:
            raise pickle.UnpicklingError(f"there are no numbers of {len(self._empty)} storages")


class _StorageClass(StandIn):
    """Stands for a class such as `torch.FloatStorage`, which a pickle may name but not call."""

    __slots__ = ("dtype",)

    def __init__(self, name):
        super().__init__(f"torch.{name}", self._refuse)
        self.dtype = np.dtype(_DTYPES[name])

    def _refuse(self, *_):
        raise Refused(f"it calls {self.name}")


def _is_count(value):
    return type(value) is int and value >= 0


def _tensor(storage, offset, shape, strides, *_):
    """Stand in for `torch._utils._rebuild_tensor_v2`: a view of a storage, lengths in numbers, not bytes."""
    axes = [shape, strides]
    if not isinstance(storage, np.ndarray) or not all(isinstance(axis, tuple) for axis in axes):
        raise Refused("it makes a tensor of something else than a storage")
    if len(shape) != len(strides) or not all(map(_is_count, (offset, *shape, *strides))):
        raise pickle.UnpicklingError("a tensor with impossible sizes")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides))
    if math.prod(shape) and last >= storage.size:
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    made, item = Array(), storage.itemsize
    if math.prod(shape) == 0:
        made.value = np.empty(shape, storage.dtype)
    else:
        steps = [item * stride for stride in strides]
        made.value = np.ndarray(shape, storage.dtype, storage, offset * item, steps)
    return made


def _parameter(tensor, *_):
    """Stand in for `torch._utils._rebuild_parameter`."""
    if not isinstance(tensor, Array):
        raise Refused("it makes a parameter of something else than a tensor")
    return tensor


class _TorchUnpickler(SafeUnpickler):
    """An unpickler that also knows tensors.

    Args:
        file, size: as in `SafeUnpickler`.
        storages: `_Storages`.
    """

    admitted = {
        **ADMITTED,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch", "Size"): tuple,
    }

    def __init__(self, file, size, storages):
        super().__init__(file, size)
        self._storages = storages

    def find_class(self, module, name):
        if module == "torch" and name in _DTYPES:
            return _StorageClass(name)
        return super().find_class(module, name)

    def persistent_load(self, pid):
        # ("storage", class, key, device, number of items); before PyTorch 1.6 also a part of the storage.
        fits = isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"
        if not fits or not isinstance(pid[1], _StorageClass) or not isinstance(pid[2], str):
            raise Refused("it names something else than a storage")
        if not _is_count(pid[4]) or pid[5:] not in ((), (None,)):
            raise pickle.UnpicklingError(f"a storage of {pid[4:]!r:.100}")
        return self._storages.array(pid[2], pid[1].dtype, pid[4])

    def load_build(self):
        # The attribute of a state_dict() that holds the versions of its layers. A dict here has none.
        if type(self.stack[-1]) is dict and type(self.stack[-2]) is dict:
            self.stack.pop()
        else:
            super().load_build()

    dispatch = Instructions(SafeUnpickler.dispatch)
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BINPERSID[0]] = pickle._Unpickler.load_binpersid
