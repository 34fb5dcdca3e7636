"""Byte strings by number that several processes share, in memory or in files, each written by one of them."""

import contextlib
import mmap
import os
import shutil
import threading
import zlib

import numpy as np

from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import format_size

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_FORM = 1  # of the files
_ALIGNED = 64
_LEFT_FREE = 2**30  # of a disk, for checkpoints


class Room:
    """The bytes that several stores may take together, dealt out one after the other.

    Args:
        limit: their number.
        name: what the user calls it, for messages.
        lock_file: path of the file that processes lock; None for one of this process and its children.
    """

    def __init__(self, limit, name, lock_file=None):
        self.limit = limit
        self.stores = []
        self._name = name
        self._lock = _memory() if lock_file is None else _file(lock_file)
        self._threads = threading.Lock()
        # Shared with children: whether nothing is kept any more, and whether it was told.
        self._flags = mmap.mmap(-1, 2)

    @contextlib.contextmanager
    def locked(self):
        """Keep other threads and processes out; the system's lock ends with a process that holds it."""
        with self._threads:
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def has(self, size):
        """Tell whether so many bytes are left."""
        return not self._flags[0] and sum(store.used for store in self.stores) + size <= self.limit

    def close(self):
        """Keep nothing more in this run."""
        self._flags[0] = 1

    def tell_once(self, why):
        """Log why something is not kept, unless a process has done so."""
        told, self._flags[1] = self._flags[1], 1
        if not told:
            logger.warning(f"{self._name}: {why}; what is not kept is decoded each time")


class Store:
    """Byte strings 0..count - 1.

    An index says where each one lies in a second file, how long it is and, on a disk, its checksum, under a
    seal that is written last: a process may be killed at any moment. Content is written by calls, which fail
    on a full disk where a write to mapped memory would kill the process, and no place is used twice.
    Processes that are forked later share the store.

    Args:
        count: of byte strings.
        room: a `Room`.
        path: of the files, to which ".data" and ".index" are added; None keeps all in memory, which is gone
            with the last of the processes, however that ends.

    Raises:
        OSError: the files cannot be made.
    """

    def __init__(self, count, room, path=None):
        self._room = room
        self._path = path
        # Which of them are known to be good in this run.
        self._seen = mmap.mmap(-1, max(count, 1))
        with room.locked():
            self._data, index = _new_files(None, count) if path is None else _files(path, count)
            self._index = np.frombuffer(mmap.mmap(index, _head(count).nbytes), "<i8").reshape(-1, 4)
            # What was written before a loss of power may be there without the index knowing.
            self._index[0, 2] = max(self.used, aligned(os.fstat(self._data).st_size))
        if path is None:
            os.ftruncate(self._data, room.limit)  # takes no memory yet
            self._mapped = memoryview(mmap.mmap(self._data, room.limit, access=mmap.ACCESS_READ))
        room.stores.append(self)

    @property
    def used(self):
        """The bytes that are dealt out."""
        return int(self._index[0, 2])

    def filled(self):
        """Return how many byte strings there are."""
        return int(np.count_nonzero(self._index[1:, 3]))

    def get(self, number, is_good=None):
        """Return a byte string, read-only, or None where it is not there, or damaged.

        Args:
            number: 0..count - 1.
            is_good: `is_good(content) -> bool`, asked the first time in a run about what was there before.
        """
        *row, seal = self._index[number + 1].tolist()
        if not seal or seal != _seal(number, row):
            return None
        offset, length, checksum = row
        if self._path is None:
            return self._mapped[offset : offset + length]
        try:
            # Not mapped: a file that others cut off would kill this process.
            content = os.pread(self._data, length, offset)
        except OSError:
            return None
        if len(content) != length:
            return None
        if not self._seen[number]:
            if zlib.crc32(content) != checksum or not (is_good is None or is_good(content)):
                return None
            self._seen[number] = 1
        return content

    def put(self, number, content):
        """Keep a byte string if there is room for it, and none that is known to be good."""
        size = aligned(len(content))
        with self._room.locked():
            if self._seen[number]:
                return
            offset, why = self.used, self._refusal(size)
            if why is None:
                self._index[0, 2] += size
        if why is None:
            why = self._write(number, offset, content)
        if why is not None:
            self._room.tell_once(why)

    def _refusal(self, size):
        if not self._room.has(size):
            return f"the limit of {format_size(self._room.limit)} is reached"
        if self._path is not None and shutil.disk_usage(os.path.dirname(self._path)).free < size + _LEFT_FREE:
            return f"less than {format_size(_LEFT_FREE)} would be left free on the disk of {self._path}"
        return None

    def _write(self, number, offset, content):
        try:
            _pwrite(self._data, offset, content)
        except OSError as error:
            self._room.close()
            return f"cannot write {self._path or 'to memory'}: {error.strerror}"
        row = [offset, len(content), 0 if self._path is None else zlib.crc32(content)]
        with self._room.locked():
            self._index[number + 1] = [*row, 0]
            self._index[number + 1, 3] = _seal(number, row)
            self._seen[number] = 1
        return None


def _head(count):
    """Return an empty index: a row of its form, length and bytes dealt out; then one for each string."""
    rows = np.zeros((count + 1, 4), "<i8")
    rows[0, :2] = _FORM, count
    return rows


def _files(path, count):
    files = [_file(name) for name in _names(path)]
    head = _head(count)
    if os.fstat(files[1]).st_size == head.nbytes and os.pread(files[1], 16, 0) == head[0, :2].tobytes():
        return files
    # Another process may have the damaged ones open; it keeps them.
    for file, name in zip(files, _names(path)):
        os.close(file)
        os.unlink(name)
    return _new_files(path, count)


def _new_files(path, count):
    files = [_memory(), _memory()] if path is None else [_file(name) for name in _names(path)]
    # Written rather than left sparse, since its memory is written to.
    _pwrite(files[1], 0, _head(count).tobytes())
    return files


def _names(path):
    return f"{path}.data", f"{path}.index"


def _memory():
    return os.memfd_create("paddleseg")


def _file(path):
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _pwrite(file, offset, content):
    left = memoryview(content)
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written


def aligned(size):
    """Return a number of bytes, rounded up to where an array may begin."""
    return -(-size // _ALIGNED) * _ALIGNED


def _seal(number, row):
    return zlib.crc32(np.array([number, *row], "<i8")) + 1
