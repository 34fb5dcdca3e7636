"""Files of rows of numbers, which several processes fill at once and which return only complete rows."""

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

DESCRIPTION, INDEX = "cache.json", "index.bin"
# A record: the id of the row's image, the CRC-32 of its bytes, a seal (see `_seal`), and padding.
_RECORD = struct.Struct("<IIII")
_EMPTY = bytes(_RECORD.size)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quotas


class CacheFiles:
    """A folder with one file for each of several tensors; all rows of a file have the same size.

    `cache.json` describes the rows. It is written last, so where it exists the files have their full size.
    The files are sparse and memory-mapped for reading. They are written by plain calls, since these fail on a
    full disk, where a write to mapped memory would kill the process. `index.bin` holds a record of 16 bytes
    for each row, written after the row's bytes, so that a process may be killed at any moment. The record
    holds a checksum of the bytes, since a power failure may save the record and lose the bytes, and since
    another process may write the same row.

    Args:
        folder: its path; it is made if it is missing.
        description: a dict of plain values that describes the rows; the same in all processes.
        num_rows: the number of rows.
        layout: {name: (shape of one row, dtype)} of the tensors.

    Attributes:
        folder, num_rows: the same.
        names: the names of the tensors, in the order of `layout`.
        row_bytes: bytes of one row of all tensors together.
        size: bytes of the folder when it is full.
        mismatches: how many of the rows that `read` looked up belonged to another image.

    Raises:
        UserError: the folder cannot be made, or has another description, or its files are damaged.
    """

    def __init__(self, folder, description, num_rows, layout):
        self.folder = folder
        self.num_rows = num_rows
        self.names = list(layout)
        self._rows = {
            name: np.dtype((np.dtype(dtype).newbyteorder("<"), tuple(shape)))
            for name, (shape, dtype) in layout.items()
        }
        self.row_bytes = sum(row.itemsize for row in self._rows.values())
        self.size = num_rows * (self.row_bytes + _RECORD.size)
        self.mismatches = 0
        # The seals of the records whose rows this process has verified, as a checksum is computed only once.
        self._verified = np.zeros(num_rows, np.uint32)
        with self._user_errors():
            self._prepare(description)
            self._files = {name: open(self._path(name), "r+b", buffering=0) for name in (*self.names, INDEX)}  # noqa: SIM115
            self._maps = {
                name: np.memmap(self._path(name), row.base, "r", shape=(num_rows, *row.shape))
                for name, row in self._rows.items()
            }

    def empty_rows(self, count):
        """Return {name: uninitialised array of `count` rows}, for `read` to copy into."""
        return {name: np.empty((count, *row.shape), row.base) for name, row in self._rows.items()}

    def num_filled(self):
        """Return how many rows are stored."""
        with self._user_errors():
            records = np.fromfile(self._path(INDEX), "<u4").reshape(self.num_rows, -1)
        return int(np.count_nonzero(records.any(axis=1)))

    def read(self, row, image_id, into):
        """Copy a row if it is stored, undamaged and of this image; return whether it is.

        Args:
            row: its number.
            image_id: a number below 2**32 that identifies the image.
            into: {name: array of the shape of one row}.
        """
        with self._user_errors():
            record = self._record(row)
            stored_id, checksum, seal, _ = _RECORD.unpack(record)
            if seal != _seal(row, stored_id, checksum):
                return False
            if stored_id != image_id:
                self.mismatches += 1
                return False
            for name, array in into.items():
                array[...] = self._maps[name][row]
            if self._verified[row] != seal and self._checksum(into) != checksum:
                return False
            # Another process may have begun to write the row meanwhile.
            if self._record(row) != record:
                return False
        self._verified[row] = seal
        return True

    def write(self, row, image_id, arrays):
        """Store a row.

        Args:
            row, image_id: as in `read`.
            arrays: {name: array of the shape of one row}.

        Raises:
            UserError: the disk is full or fails; the row is then not stored.
        """
        with self._user_errors():
            if self._record(row) != _EMPTY:
                self._write(INDEX, row * _RECORD.size, _EMPTY)
            for name, array in arrays.items():
                self._write(name, row * self._rows[name].itemsize, np.ascontiguousarray(array).tobytes())
            checksum = self._checksum(arrays)
            record = _RECORD.pack(image_id, checksum, _seal(row, image_id, checksum), 0)
            self._write(INDEX, row * _RECORD.size, record)

    def _path(self, name):
        return os.path.join(self.folder, name if name == INDEX else f"{name}.bin")

    def _prepare(self, description):
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, DESCRIPTION)
        complete = os.path.exists(path)
        if complete and _read_json(path) != json.loads(json.dumps(description)):
            raise self._unusable(f"{path} is damaged or describes other rows")
        row_sizes = {**{name: row.itemsize for name, row in self._rows.items()}, INDEX: _RECORD.size}
        for name, row_size in row_sizes.items():
            file_path, size = self._path(name), self.num_rows * row_size
            if not complete:
                with open(file_path, "ab") as file:
                    file.truncate(size)
            if not os.path.isfile(file_path):
                raise self._unusable(f"{file_path} is missing")
            if os.path.getsize(file_path) != size:
                raise self._unusable(f"{file_path} has {os.path.getsize(file_path)} bytes instead of {size}")
        if not complete:
            _write_json(path, description)

    def _unusable(self, problem):
        return UserError(f"teacher_cache: {problem}; remove {self.folder}, and a new cache is filled")

    def _record(self, row):
        file = self._files[INDEX]
        file.seek(row * _RECORD.size)
        return file.read(_RECORD.size).ljust(_RECORD.size, b"\0")

    def _checksum(self, arrays):
        checksum = 0
        for name in self.names:
            checksum = zlib.crc32(np.ascontiguousarray(arrays[name]), checksum)
        return checksum

    def _write(self, name, offset, data):
        file, left = self._files[name], memoryview(data)
        file.seek(offset)
        while left:
            left = left[file.write(left) :]

    @contextlib.contextmanager
    def _user_errors(self):
        """Turn errors of the disk into `UserError`s."""
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise UserError(
                    f"teacher_cache: {error.filename or self.folder} cannot be used: {one_line(error)}"
                ) from error
            free = shutil.disk_usage(self.folder).free if os.path.isdir(self.folder) else 0
            raise UserError(
                f"teacher_cache: no space is left for {self.folder}: it takes {format_size(self.size)} when "
                f"full ({self.num_rows} rows of {format_size(self.row_bytes)}), and {format_size(free)} are "
                f"free; stored rows stay valid. Make room, name a folder on another disk, or lower "
                f"cache_views"
            ) from error


def _seal(row, image_id, checksum):
    """Return the CRC-32 of these three numbers, by which a record is known to be complete."""
    return zlib.crc32(struct.pack("<QII", row, image_id, checksum)) or 1  # 0 means: never written


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError):
        return None


def _write_json(path, value):
    # Two processes may do this at once; each writes a file of its own, with the same content.
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
