"""Numbered byte strings that several processes share, in memory or in files."""

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

_FORM = 1  # the version of the files' form
_ALIGNED = 64
_LEFT_FREE = 2**30  # bytes of a disk that are left for checkpoints


class Room:
    """The bytes that several stores may take together, handed out in order of demand.

    Args:
        limit: the number of bytes.
        name: what messages call it.
        lock_file: path of the file that processes lock; None if only this process and its children write.
    """

    def __init__(self, limit, name, lock_file=None):
        self.limit = limit
        self.stores = []
        self._name = name
        self._lock = _memory() if lock_file is None else _file(lock_file)
        self._threads = threading.Lock()
        # Shared with child processes: whether the room is closed, and whether a warning was logged.
        self._flags = mmap.mmap(-1, 2)

    @contextlib.contextmanager
    def locked(self):
        """Keep other threads and processes out; the system unlocks when the process ends."""
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
        """Let no store write anything more in this run."""
        self._flags[0] = 1

    def warn_once(self, reason):
        """Log why something is not stored, unless a process has already logged a reason."""
        warned, self._flags[1] = self._flags[1], 1
        if not warned:
            logger.warning(f"{self._name}: {reason}; samples that are not stored are decoded each time")


class Store:
    """Byte strings 0..count - 1, in memory or in files; one that is written again gets new bytes.

    An index holds the offset, the length and, on a disk, the checksum of each byte string in a data file,
    and a seal. The seal is written last, as a process may be killed at any moment. Content is written by
    system calls: on a full disk they fail, while a write to mapped memory would kill the process. Processes
    that are forked later share the store.

    Args:
        count: the number of byte strings.
        room: a `Room`.
        path: of the files, to which ".data" and ".index" are added; None for memory, which is freed with the
            last of the processes, however that ends.

    Raises:
        OSError: the files cannot be made.
    """

    def __init__(self, count, room, path=None):
        self._room = room
        self._path = path
        # Which byte strings this run has checked or written.
        self._checked = mmap.mmap(-1, max(count, 1))
        with room.locked():
            self._data, index = _new_files(None, count) if path is None else _files(path, count)
            self._index = np.frombuffer(mmap.mmap(index, _empty_index(count).nbytes), "<i8").reshape(-1, 4)
            # After a loss of power the data may be longer than the index says.
            self._index[0, 2] = max(self.used, aligned(os.fstat(self._data).st_size))
        if path is None:
            os.ftruncate(self._data, room.limit)  # takes no memory yet
            self._mapped = memoryview(mmap.mmap(self._data, room.limit, access=mmap.ACCESS_READ))
        room.stores.append(self)

    @property
    def used(self):
        """The number of bytes that are handed out."""
        return int(self._index[0, 2])

    def num_filled(self):
        """Return how many byte strings are stored."""
        return int(np.count_nonzero(self._index[1:, 3]))

    def get(self, number, is_current=None):
        """Return a byte string, read-only, or None if it is not stored or is damaged.

        Args:
            number: 0..count - 1.
            is_current: `is_current(content) -> bool`, called once in a run for a byte string of an earlier
                run; if it is not current, it counts as not stored. Default None.
        """
        *row, seal = self._index[number + 1].tolist()
        if not seal or seal != _seal(number, row):
            return None
        offset, length, checksum = row
        if self._path is None:
            return self._mapped[offset : offset + length]
        try:
            # Not mapped: if another process truncated the file, reading mapped memory would kill this one.
            content = os.pread(self._data, length, offset)
        except OSError:
            return None
        if len(content) != length:
            return None
        if not self._checked[number]:
            if zlib.crc32(content) != checksum or not (is_current is None or is_current(content)):
                return None
            self._checked[number] = 1
        return content

    def put(self, number, content):
        """Store a byte string if there is room, unless this run has already checked or written it."""
        size = aligned(len(content))
        with self._room.locked():
            if self._checked[number]:
                return
            offset, refusal = self.used, self._refusal(size)
            if refusal is None:
                self._index[0, 2] += size
        refusal = refusal or self._write(number, offset, content)
        if refusal is not None:
            self._room.warn_once(refusal)

    def _refusal(self, size):
        """Return why so many bytes cannot be stored; None if they can."""
        if not self._room.has(size):
            return f"the limit of {format_size(self._room.limit)} is reached"
        if self._path is not None and shutil.disk_usage(os.path.dirname(self._path)).free < size + _LEFT_FREE:
            return f"less than {format_size(_LEFT_FREE)} would be left free on the disk of {self._path}"
        return None

    def _write(self, number, offset, content):
        """Write a byte string to the bytes that were handed out for it; return why that failed, else None."""
        try:
            _pwrite(self._data, offset, content)
        except OSError as error:
            self._room.close()
            return f"cannot write {self._path or 'to memory'}: {error.strerror}"
        row = [offset, len(content), 0 if self._path is None else zlib.crc32(content)]
        with self._room.locked():
            self._index[number + 1] = [*row, 0]
            self._index[number + 1, 3] = _seal(number, row)
            self._checked[number] = 1
        return None


def _empty_index(count):
    """Return rows of int64: (version, count, bytes handed out, 0), then zeros for each byte string."""
    rows = np.zeros((count + 1, 4), "<i8")
    rows[0, :2] = _FORM, count
    return rows


def _files(path, count):
    """Return the open data and index files; new ones if the index is missing, damaged or of another form."""
    files = [_file(name) for name in _names(path)]
    empty = _empty_index(count)
    if os.fstat(files[1]).st_size == empty.nbytes and os.pread(files[1], 16, 0) == empty[0, :2].tobytes():
        return files
    # Another process may use the damaged files; unlinked, they stay open there.
    for file, name in zip(files, _names(path)):
        os.close(file)
        os.unlink(name)
    return _new_files(path, count)


def _new_files(path, count):
    files = [_memory(), _memory()] if path is None else [_file(name) for name in _names(path)]
    # The index is mapped and written to, so its file must not be sparse.
    _pwrite(files[1], 0, _empty_index(count).tobytes())
    return files


def _names(path):
    return f"{path}.data", f"{path}.index"


def _memory():
    return os.memfd_create("paddleseg")


def _file(path):
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _pwrite(file, offset, content):
    content = memoryview(content)
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written


def aligned(size):
    """Return a number of bytes, rounded up to where an array may begin."""
    return -(-size // _ALIGNED) * _ALIGNED


def _seal(number, row):
    return zlib.crc32(np.array([number, *row], "<i8")) + 1
