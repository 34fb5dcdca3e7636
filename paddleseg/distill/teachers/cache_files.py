"""Rows of numbers in files that several processes fill at once, none of which is read before it is whole."""

import contextlib
import errno
import json
import os
import shutil
import struct
import zlib

import numpy as np

from paddleseg.errors import UserError, one_line
from paddleseg.utils.sizes import format_size

ABOUT, INDEX = "cache.json", "index.bin"
# What a row is of, the CRC-32 of its bytes, the CRC-32 of both and of its number; nothing.
_RECORD = struct.Struct("<IIII")
_EMPTY = bytes(_RECORD.size)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quotas


class CacheFiles:
    """A folder with one file for each of several tensors, in which row after row has the same size.

    `cache.json` says what they are of; it is written last: where it is, the files have their whole size. They
    are sparse, memory-mapped for reading, and written by plain calls, which fail on a full disk where a write
    to mapped memory would kill the process. `index.bin` holds a record of 16 bytes for each row, written
    after the row's bytes, so that a process may be killed at any moment. The record holds their checksum,
    since a loss of power may keep the record and lose the bytes, and another process may write the row too.

    Args:
        folder: its path; it is made if it is missing.
        about: a dict of plain values that says what the rows are of; the same in all processes.
        num_rows: the number of rows.
        layout: {name: (shape of one row, dtype)} of the tensors.

    Attributes:
        row_bytes: size of a row of all tensors together.
        size: bytes of the folder when it is full.
        mistaken: how many of the rows that `read` found were of something else.

    Raises:
        UserError: the folder cannot be made, or holds something else, or damaged files.
    """

    def __init__(self, folder, about, num_rows, layout):
        self.folder = folder
        self.num_rows = num_rows
        self._dtypes = {name: np.dtype(dtype).newbyteorder("<") for name, (_, dtype) in layout.items()}
        self._shapes = {name: tuple(shape) for name, (shape, _) in layout.items()}
        self._bytes = {n: int(np.prod(s)) * self._dtypes[n].itemsize for n, s in self._shapes.items()}
        self.row_bytes = sum(self._bytes.values())
        self.size = num_rows * (self.row_bytes + _RECORD.size)
        self.mistaken = 0
        # The checksum of a row that was found right once is not computed again.
        self._checked = np.zeros(num_rows, np.uint32)
        with self._told_as_users():
            self._prepare(about)
            self._files = {name: open(self._path(name), "r+b", buffering=0) for name in (*layout, INDEX)}  # noqa: SIM115
            self._maps = {
                name: np.memmap(self._path(name), self._dtypes[name], "r", shape=(num_rows, *shape))
                for name, shape in self._shapes.items()
            }

    def empty(self, count):
        """Return an array for `count` rows of each tensor, {name: array}, to read into."""
        return {name: np.empty((count, *shape), self._dtypes[name]) for name, shape in self._shapes.items()}

    def filled(self):
        """Return how many rows there are."""
        with self._told_as_users():
            records = np.fromfile(self._path(INDEX), "<u4").reshape(self.num_rows, -1)
        return int(np.count_nonzero(records.any(axis=1)))

    def read(self, row, of, into):
        """Copy a row, if it is there, whole, and of what it should be; return whether it is.

        Args:
            row: its number.
            of: a number below 2**32 that says of which input it is.
            into: {name: array of the shape of one row}.
        """
        with self._told_as_users():
            record = self._record(row)
            found, checksum, check, _ = _RECORD.unpack(record)
            if check != _check(row, found, checksum):
                return False
            if found != of:
                self.mistaken += 1
                return False
            for name, array in into.items():
                array[...] = self._maps[name][row]
            if self._checked[row] != check and self._checksum(into) != checksum:
                return False
            # Another process may have begun to write the row in between.
            if self._record(row) != record:
                return False
        self._checked[row] = check
        return True

    def write(self, row, of, arrays):
        """Write a row.

        Args:
            row, of: as in `read`.
            arrays: {name: array of the shape of one row}.

        Raises:
            UserError: the disk is full, or fails; the row is not there then.
        """
        with self._told_as_users():
            if self._record(row) != _EMPTY:
                self._write(INDEX, row * _RECORD.size, _EMPTY)
            for name, array in arrays.items():
                self._write(name, row * self._bytes[name], np.ascontiguousarray(array).tobytes())
            checksum = self._checksum(arrays)
            record = _RECORD.pack(of, checksum, _check(row, of, checksum), 0)
            self._write(INDEX, row * _RECORD.size, record)

    def _path(self, name):
        return os.path.join(self.folder, name if name == INDEX else f"{name}.bin")

    def _prepare(self, about):
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, ABOUT)
        whole = os.path.exists(path)
        if whole and _read_json(path) != json.loads(json.dumps(about)):
            raise UserError(
                f"--teacher_cache: {path} is damaged, or of something else; remove {self.folder}, and it is "
                f"filled anew"
            )
        sizes = {name: self.num_rows * size for name, size in (*self._bytes.items(), (INDEX, _RECORD.size))}
        for name, size in sizes.items():
            if not whole:
                with open(self._path(name), "ab") as file:
                    file.truncate(size)
            there = os.path.getsize(self._path(name)) if os.path.isfile(self._path(name)) else None
            if there != size:
                told = "is missing" if there is None else f"has {there} bytes instead of {size}"
                raise UserError(
                    f"--teacher_cache: {self._path(name)} {told}; remove {self.folder}, and it is filled anew"
                )
        if not whole:
            _write_json(path, about)

    def _record(self, row):
        file = self._files[INDEX]
        file.seek(row * _RECORD.size)
        return file.read(_RECORD.size).ljust(_RECORD.size, b"\0")

    def _checksum(self, arrays):
        checksum = 0
        for name in self._shapes:
            checksum = zlib.crc32(np.ascontiguousarray(arrays[name]), checksum)
        return checksum

    def _write(self, name, offset, data):
        file, left = self._files[name], memoryview(data)
        file.seek(offset)
        while left:
            left = left[file.write(left) :]

    @contextlib.contextmanager
    def _told_as_users(self):
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise UserError(
                    f"--teacher_cache: {error.filename or self.folder} cannot be used: {one_line(error)}"
                ) from error
            raise UserError(self._full()) from error

    def _full(self):
        free = shutil.disk_usage(self.folder).free if os.path.isdir(self.folder) else 0
        return (
            f"--teacher_cache: no space is left for {self.folder}: it takes {format_size(self.size)} when "
            f"full ({self.num_rows} rows of {format_size(self.row_bytes)}), and {format_size(free)} are "
            f"free; what is written stays good. Make room, name a folder on another disk, "
            f"or lower --cache_views"
        )


def _check(row, of, checksum):
    return zlib.crc32(struct.pack("<QII", row, of, checksum)) or 1  # 0 is a record that was never written


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError):
        return None


def _write_json(path, value):
    # Two processes may do so at once; they write the same.
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
