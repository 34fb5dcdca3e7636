"""Writes files as `torch.save` does, without PyTorch."""

import io
import pickle
import zipfile

import numpy as np

STORAGES = {"f": "FloatStorage", "i": "LongStorage"}


class Named:
    """What a module calls `name`; pickled by its name alone."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        """Make instances callable, since pickle checks that what is called is."""


class Storage:
    """The numbers of a tensor, which lie outside the pickle."""

    def __init__(self, key, array):
        self.pid = ("storage", Named("torch", STORAGES[array.dtype.kind]), key, "cpu", array.size)


class Tensor:
    """An array that is pickled as a tensor."""

    def __init__(self, key, array):
        strides = tuple(step // array.itemsize for step in array.strides)
        arguments = (Storage(key, array), 0, array.shape, strides, False, {})
        self.reduced = Named("torch._utils", "_rebuild_tensor_v2"), arguments

    def __reduce__(self):
        return self.reduced


class _Pickler(pickle._Pickler):
    def persistent_id(self, value):
        return value.pid if isinstance(value, Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Named):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        else:
            super().save(value, save_persistent_id)


def pickled(value):
    """Return the pickle of a value, in which `Named` and `Tensor` may occur."""
    stream = io.BytesIO()
    _Pickler(stream, 2).dump(value)
    return stream.getvalue()


def zip_bytes(content, storages, compression=zipfile.ZIP_STORED, **more):
    """Return a file in the format since PyTorch 1.6.

    Args:
        content: the bytes of `data.pkl`.
        storages: {key: bytes}.
        compression: of all members.
        **more: further members by name.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for name, text in more.items():
            archive.writestr(f"archive/{name}", text)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return stream.getvalue()


def old_bytes(content, storages):
    """Return a file in the format before PyTorch 1.6; `content` and `storages` as in `zip_bytes`."""
    heads = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [*(pickle.dumps(head, protocol=2) for head in heads), content]
    parts.append(pickle.dumps(list(storages), protocol=2))
    for data in storages.values():
        parts += [(len(data) // 4).to_bytes(8, "little"), data]
    return b"".join(parts)


def save(weights, path):
    """Write {key: float32 or int64 array} in the format since PyTorch 1.6; return the file's path as text."""
    arrays = {key: np.asarray(array, order="C") for key, array in weights.items()}
    content = pickled({key: Tensor(str(i), array) for i, (key, array) in enumerate(arrays.items())})
    storages = {str(i): array.tobytes() for i, array in enumerate(arrays.values())}
    path.write_bytes(zip_bytes(content, storages))
    return str(path)
