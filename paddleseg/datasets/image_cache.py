"""Decoded images and masks, kept from one epoch to the next."""

import functools
import hashlib
import inspect
import json
import os
import shutil
from pathlib import Path

import numpy as np

from paddleseg.datasets.file_samples import FileSamples
from paddleseg.datasets.shared_store import Room, Store, aligned
from paddleseg.errors import UserError, one_line
from paddleseg.transforms import Compose
from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import available_memory, format_size
from paddleseg.weights.download import home

_FORM = 1  # of what is kept of a sample


def cache_images(datasets, place, limit=None, folder=None, processes=1):
    """Let data sets keep what they read, decoded, and changed by the transforms that draw nothing.

    Their samples stay the same to the last bit. A data set that is none of `FileSamples`, or reads samples in
    a way of its own, is left alone.

    Args:
        datasets: {name for messages: data set or None}.
        place: "ram", shared with worker processes and gone with them; or "disk", files that later runs find
            again.
        limit: bytes for all of them together; half of what is free if None.
        folder: where "disk" keeps its files; "images" below `home()` if None.
        processes: how many of them share this machine's memory, and each keeps its own.

    Raises:
        UserError: the folder cannot be used, or the system has no such memory.
    """
    flag = f"--cache_images {place}"
    if not hasattr(os, "memfd_create"):
        raise UserError(f"{flag} works on Linux alone")
    caching = {name: dataset for name, dataset in datasets.items() if _is_ours(dataset)}
    others = [name for name, dataset in datasets.items() if dataset is not None and name not in caching]
    if others:
        logger.info(f"{flag} leaves {', '.join(others)} alone: it reads samples in a way of its own")
    if not caching:
        return
    try:
        stores, limit = (
            _in_memory(caching, flag, limit, processes)
            if place == "ram"
            else _on_disk(caching, flag, limit, Path(folder or home() / "images"))
        )
    except OSError as error:
        raise UserError(f"{flag}: {one_line(error)}; --cache_images_dir names another folder") from error
    for name, store in stores.items():
        caching[name].image_cache = ImageCache(caching[name], store)
    there = sum(store.filled() for store in stores.values())
    total = sum(map(len, caching.values()))
    told = f", where {there} of {total} samples are already" if place == "disk" else ""
    logger.info(f"{flag}: samples of {', '.join(caching)} are kept, up to {format_size(limit)}{told}")


def _is_ours(dataset):
    """Tell whether all that a data set reads goes by `FileSamples` and `Compose`."""
    return (
        isinstance(dataset, FileSamples)
        and type(dataset).sample is FileSamples.sample
        and type(dataset.transforms) is Compose
    )


def _in_memory(datasets, flag, limit, processes):
    if limit is None:
        free = available_memory()
        if free is None:
            raise UserError(
                f"{flag}: the system does not tell its free memory; --cache_images_limit is needed"
            )
        limit = max(free // 2 // processes, 1)
    room = Room(limit, flag)
    return {name: Store(len(dataset), room) for name, dataset in datasets.items()}, limit


def _on_disk(datasets, flag, limit, folder):
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: str(folder / _key(dataset)) for name, dataset in datasets.items()}
    if limit is None:
        there = sum(os.path.getsize(f"{p}.data") for p in paths.values() if os.path.exists(f"{p}.data"))
        limit = (there + shutil.disk_usage(folder).free) // 2
    room = Room(limit, flag, folder / "lock")
    return {name: Store(len(datasets[name]), room, path) for name, path in paths.items()}, limit


def _key(dataset):
    """Return a name for all that decides what is kept of a data set, its files' content aside."""
    compose = dataset.transforms
    own = [cls for cls in type(dataset).__mro__ if not cls.__module__.startswith(("paddleseg.", "builtins"))]
    plain = (bool, int, float, str, list, tuple, dict, type(None))
    values = {key: v for key, v in vars(dataset).items() if isinstance(v, plain) and key != "file_list"}
    about = {
        "form": _FORM,
        "files": dataset.file_list,
        "class": type(dataset).__qualname__,
        # A user's class may turn masks into classes by code that is edited.
        "source": [_source(cls) for cls in own],
        "values": values,
        "compose": [compose.to_rgb, compose.img_channels],
        "leading": [
            [type(one).__name__, {key: repr(v) for key, v in vars(one).items()}] for one in compose.leading
        ],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _source(cls):
    try:
        return inspect.getsource(inspect.getmodule(cls))
    except (OSError, TypeError):  # defined in a shell, or in no file
        return None


class ImageCache:
    """What `Compose` reads of each sample, kept in a `Store`.

    A sample is kept as `Compose.led` leaves it, or before that if it is smaller then. What cannot be read is
    never kept.

    Args:
        dataset: a `FileSamples`.
        store: a `Store` of as many byte strings.
    """

    def __init__(self, dataset, store):
        self._compose = dataset.transforms
        self._files = dataset.file_list
        self._store = store

    def load(self, index, read, where):
        """Return a sample to go on with, and the number of transforms that were applied to it.

        Args:
            index: 0..len - 1.
            read: `read() -> dict`, what `Compose.read` returns; called where nothing is kept.
            where: as in `Compose`.
        """
        content = self._store.get(index, functools.partial(self._is_of_files, index))
        if content is not None:
            return _unpacked(content)
        stamp = self._stamp(index)
        data = read()
        led = self._compose.apply_leading({**data, "trans_info": list(data["trans_info"])}, where)
        done = len(self._compose.leading)
        kept = (led, done) if _size(led) <= _size(data) else (data, 0)
        self._store.put(index, _packed(*kept, stamp))
        return led, done

    def _is_of_files(self, index, content):
        return _about(content)["stamp"] == self._stamp(index)

    def _stamp(self, index):
        """Return what changes when the files of a sample do; None where one is not there."""
        try:
            stats = [os.stat(path) for path in self._files[index] if path is not None]
        except (OSError, ValueError):
            return None
        return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _arrays(data):
    return {key: data[key] for key in ("img", "label") if data.get(key) is not None}


def _size(data):
    return sum(array.nbytes for array in _arrays(data).values())


def _packed(data, done, stamp):
    """Return a sample as bytes: the length of a JSON text, the text, and the arrays that it describes."""
    arrays = _arrays(data)
    about = {
        "arrays": {key: [array.dtype.str, array.shape] for key, array in arrays.items()},
        "rest": {key: value for key, value in data.items() if key not in arrays},
        "done": done,
        "stamp": stamp,
    }
    text = json.dumps(about).encode()
    parts = [len(text).to_bytes(4, "little") + text, *(array.tobytes() for array in arrays.values())]
    return b"".join(part.ljust(aligned(len(part)), b"\0") for part in parts)


def _unpacked(content):
    """Return (data, done) of a sample as `_packed` made it; the arrays are read-only."""
    about = _about(content)
    data = about["rest"]
    data["trans_info"] = [(kind, tuple(size)) for kind, size in data["trans_info"]]
    offset = aligned(4 + int.from_bytes(content[:4], "little"))
    for key, (dtype, shape) in about["arrays"].items():
        count = int(np.prod(shape))
        data[key] = np.frombuffer(content, dtype, count, offset).reshape(shape)
        offset += aligned(data[key].nbytes)
    return data, about["done"]


def _about(content):
    return json.loads(bytes(content[4 : 4 + int.from_bytes(content[:4], "little")]))
