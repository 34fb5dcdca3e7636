"""Decoded images and masks, stored from one epoch to the next."""

import functools
import hashlib
import inspect
import json
import os
import shutil
from pathlib import Path

import numpy as np

from paddleseg.datasets.file_samples import reads_by_default
from paddleseg.datasets.shared_store import Room, Store, aligned
from paddleseg.errors import UserError, one_line
from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import available_memory, format_size
from paddleseg.weights.download import home

_FORM = 2  # the version of the stored samples' form


def cache_images(datasets, place, limit=None, folder=None, processes=1):
    """Let data sets store their samples decoded, as the leading transforms that draw nothing leave them.

    The samples stay the same to the last bit. A data set that reads samples in its own way, not by
    `FileSamples`, is left as it is.

    Args:
        datasets: {name for messages: data set or None}.
        place: "ram", memory that worker processes share and that is freed with the last of them; or "disk",
            files that later runs find again.
        limit: the bytes that all of them may take together; None for half of what is free. Default None.
        folder: where "disk" puts its files; None for "images" below `home()`. Default None.
        processes: how many processes on this machine each store samples of their own. Default 1.

    Raises:
        UserError: the folder cannot be used, or the system has no such memory.
    """
    option = f"cache_images {place}"
    if not hasattr(os, "memfd_create"):
        raise UserError(f"{option} works on Linux alone")
    cached = {name: dataset for name, dataset in datasets.items() if reads_by_default(dataset)}
    others = [name for name, dataset in datasets.items() if dataset is not None and name not in cached]
    if others:
        logger.info(
            f"{option} does not apply to {', '.join(others)}: the data set reads samples in its own way"
        )
    if not cached:
        return
    try:
        if place == "ram":
            stores, limit = _in_memory(cached, option, limit, processes)
        else:
            stores, limit = _on_disk(cached, option, limit, Path(folder or home() / "images"))
    except OSError as error:
        remedy = "a smaller cache_images_limit" if place == "ram" else "another folder by cache_images_dir"
        raise UserError(f"{option}: {one_line(error)}; choose {remedy}") from error
    for name, store in stores.items():
        cached[name].image_cache = ImageCache(cached[name], store)
    message = f"{option}: stores decoded samples of {', '.join(cached)}, up to {format_size(limit)}"
    if place == "disk":
        present, total = sum(store.num_filled() for store in stores.values()), sum(map(len, cached.values()))
        message += f"; {present} of {total} samples are there already"
    logger.info(message)


def _in_memory(datasets, option, limit, processes):
    """Return {name: `Store`} and the limit in bytes."""
    if limit is None:
        free = available_memory()
        if free is None:
            raise UserError(f"{option}: the free memory of this system is unknown; set cache_images_limit")
        limit = max(free // 2 // processes, 1)
    room = Room(limit, option)
    return {name: Store(len(dataset), room) for name, dataset in datasets.items()}, limit


def _on_disk(datasets, option, limit, folder):
    """Return {name: `Store`} and the limit in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: str(folder / _key(dataset)) for name, dataset in datasets.items()}
    if limit is None:
        used = sum(os.path.getsize(f"{p}.data") for p in paths.values() if os.path.exists(f"{p}.data"))
        limit = (used + shutil.disk_usage(folder).free) // 2
    room = Room(limit, option, folder / "lock")
    return {name: Store(len(datasets[name]), room, path) for name, path in paths.items()}, limit


def _key(dataset):
    """Return a digest of all that decides what is stored of a data set, except the content of its files."""
    compose = dataset.transforms
    plain = (bool, int, float, str, list, tuple, dict, type(None))
    identity = {
        "form": _FORM,
        "files": dataset.file_list,
        "class": type(dataset).__qualname__,
        # A user may edit the code by which a class turns masks into classes, or prepares images.
        "source": [source for one in (dataset, *compose.leading) for source in _sources(one)],
        "values": {k: v for k, v in vars(dataset).items() if isinstance(v, plain) and k != "file_list"},
        "compose": [compose.to_rgb, compose.img_channels, compose.img_range, compose.ignore_index],
        "leading": [
            [type(transform).__name__, {key: repr(value) for key, value in vars(transform).items()}]
            for transform in compose.leading
        ],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _sources(value):
    """Return the source of each class of a value that is not this project's."""
    classes = type(value).__mro__
    return [_source(cls) for cls in classes if not cls.__module__.startswith(("paddleseg.", "builtins"))]


def _source(cls):
    try:
        return inspect.getsource(inspect.getmodule(cls))
    except (OSError, TypeError):  # defined in a shell, or in no file
        return None


class ImageCache:
    """The samples of a data set in a `Store`.

    A sample is stored as `Compose.apply_leading` leaves it, or as it was read if that is smaller. A sample
    that cannot be read is never stored.

    Args:
        dataset: a `FileSamples`.
        store: a `Store` of as many byte strings.
    """

    def __init__(self, dataset, store):
        self._compose = dataset.transforms
        self._files = dataset.file_list
        self.store = store

    def load(self, index, read, where):
        """Return a sample and the number of transforms that were already applied to it.

        Args:
            index: 0..len - 1.
            read: `read() -> dict`, what `Compose.read` returns; called if the sample is not stored.
            where: as in `Compose`.
        """
        content = self.store.get(index, functools.partial(self._is_current, index))
        if content is not None:
            return _unpack(content)
        stamp = self._stamp(index)
        data = read()
        # The transforms append to `trans_info`, so they get a copy of the list.
        transformed = self._compose.apply_leading({**data, "trans_info": list(data["trans_info"])}, where)
        num_applied = len(self._compose.leading)
        if _num_bytes(transformed) <= _num_bytes(data):
            self.store.put(index, _pack(transformed, num_applied, stamp))
        else:
            self.store.put(index, _pack(data, 0, stamp))
        return transformed, num_applied

    def _is_current(self, index, content):
        return _header(content)["stamp"] == self._stamp(index)

    def _stamp(self, index):
        """Return a value that changes with the files of a sample; None if one is missing."""
        try:
            stats = [os.stat(path) for path in self._files[index] if path is not None]
        except (OSError, ValueError):
            return None
        return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _arrays(data):
    return {key: data[key] for key in ("img", "label") if data.get(key) is not None}


def _num_bytes(data):
    return sum(array.nbytes for array in _arrays(data).values())


def _pack(data, num_applied, stamp):
    """Return a sample as bytes: the length of a JSON header, the header, and the arrays that it describes.

    Args:
        data: the sample's dict.
        num_applied: how many transforms were applied to it.
        stamp: as `ImageCache._stamp` returns it.
    """
    arrays = _arrays(data)
    header = {
        "arrays": {key: [array.dtype.str, array.shape] for key, array in arrays.items()},
        "rest": {key: value for key, value in data.items() if key not in arrays},
        "done": num_applied,
        "stamp": stamp,
    }
    text = json.dumps(header).encode()
    blocks = [len(text).to_bytes(4, "little") + text, *(array.tobytes() for array in arrays.values())]
    return b"".join(block.ljust(aligned(len(block)), b"\0") for block in blocks)


def _unpack(content):
    """Return (data, num_applied) as they were passed to `_pack`; the arrays are read-only."""
    header = _header(content)
    data = header["rest"]
    data["trans_info"] = [(change, tuple(size)) for change, size in data["trans_info"]]
    offset = aligned(4 + _header_length(content))
    for key, (dtype, shape) in header["arrays"].items():
        data[key] = np.frombuffer(content, dtype, int(np.prod(shape)), offset).reshape(shape)
        offset += aligned(data[key].nbytes)
    return data, header["done"]


def _header(content):
    return json.loads(bytes(content[4 : 4 + _header_length(content)]))


def _header_length(content):
    return int.from_bytes(content[:4], "little")
