"""Find out whether /dev/shm, through which Paddle's data workers pass batches, has room for them."""

import contextlib
import os

import numpy as np

from paddleseg.errors import UserError
from paddleseg.utils.cpu import local_ranks
from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import format_size

FOLDER = "/dev/shm"
AHEAD = 2  # batches that each of Paddle's workers has made or begun
# With so many free bytes for each batch, no batch needs to be measured.
_AMPLE = 1 << 30


class Claims:
    """The bytes of shared memory that the open loaders of this process still need.

    A training's workers go on filling their share while an evaluation begins.
    """

    def __init__(self):
        self._needs = {}

    def add(self, owner, need, pids):
        """Note that the workers with these process numbers need so many bytes in all."""
        self._needs[owner] = need, pids

    def remove(self, owner):
        """Forget a loader that has ended."""
        self._needs.pop(owner, None)

    def unused(self):
        """Return the bytes that are needed and not taken yet."""
        return sum(max(need - _taken_by(pids), 0) for need, pids in self._needs.values())


CLAIMS = Claims()
_logged = set()


def need_of(samples, batch_sampler, num_workers, held):
    """Return the bytes of shared memory that a loader of this process may fill at the same time.

    Args:
        samples, batch_sampler, num_workers: as `loading.load_batches` takes them.
        held: how many batches the caller may hold.

    Returns:
        0 where the shared memory is ample, or the first sample cannot be read: a worker will say why.
    """
    batches = min(AHEAD * num_workers + held, len(batch_sampler))
    if free_bytes() >= batches * _AMPLE * local_ranks():
        return 0
    keys = next(iter(batch_sampler), ())
    return batches * len(keys) * _bytes_of_sample(samples, keys) if keys else 0


def has_room(need, num_workers):
    """Return whether the shared memory has room for a loader; the first time that it has not, log that.

    Args:
        need: see `need_of`.
        num_workers: its number of workers.
    """
    free = max(free_bytes() - CLAIMS.unused() * local_ranks(), 0)
    if need * local_ranks() <= free:
        return True
    if num_workers not in _logged:
        _logged.add(num_workers)
        logger.warning(
            f"{FOLDER} has {format_size(free)} free, and batches of {num_workers} workers may need "
            f"{format_size(need * local_ranks())}; they are passed through pipes, which is slower (a larger "
            f"{FOLDER}, fewer num_workers, or a smaller batch_size or crop avoids that)"
        )
    return False


def free_bytes():
    """Return the free bytes of the shared memory, infinity on a system that has no such folder."""
    try:
        state = os.statvfs(FOLDER)
    except (AttributeError, OSError):  # Windows has no statvfs, macOS no such folder
        return float("inf")
    return state.f_bavail * state.f_frsize


def _bytes_of_sample(samples, keys):
    try:
        sample, _ = samples.read(keys[0]) if hasattr(samples, "read") else (samples[keys[0]], {})
    except UserError:
        return 0
    values = sample.values() if isinstance(sample, dict) else sample
    return sum(np.asarray(value).nbytes for value in values if isinstance(value, (np.ndarray, np.generic)))


def remove_files(pids):
    """Remove what killed workers with these process numbers have left; mapped memory stays valid."""
    for path in _files_of(pids):
        with contextlib.suppress(OSError):
            os.remove(path)


def _taken_by(pids):
    taken = 0
    for path in _files_of(pids):
        with contextlib.suppress(OSError):  # it may have been removed since
            taken += os.stat(path).st_size
    return taken


def _files_of(pids):
    """Return the paths of the files that Paddle's workers with these process numbers have made."""
    names = tuple(f"paddle_{pid}_" for pid in pids)
    with contextlib.suppress(OSError):
        return [os.path.join(FOLDER, name) for name in os.listdir(FOLDER) if name.startswith(names)]
    return []
