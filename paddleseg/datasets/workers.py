"""Batches that worker processes read, by Paddle's `DataLoader`."""

import atexit
import contextlib
import functools
import itertools
import json
import multiprocessing
import multiprocessing.connection
import signal
import threading
import traceback

import cv2
import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.datasets import shared_memory
from paddleseg.errors import UserError
from paddleseg.parallel.signals import outlive_signals
from paddleseg.utils.cpu import local_ranks, usable_cores
from paddleseg.utils.logger import logger

_WORKERS_A_CORE = 2  # one may wait for the disk while another computes
_ERRORS = {"UserError": UserError, "MemoryError": MemoryError}
_FEWER = "use fewer num_workers"
_SHARED_MEMORY_FULL = f"{shared_memory.FOLDER} is full; make it larger (docker run --shm-size), or {_FEWER}"
_REASONS = {
    "SIGKILL": f"most likely the system ran out of memory; {_FEWER} or a smaller batch_size",
}


class WorkerDiedError(UserError):
    """A data worker has died.

    Args:
        exit_code: its exit status, or the negative number of the signal that ended it.
        shared: whether it passed batches through shared memory.

    Attributes:
        shared_memory_full: whether it found no room for a batch.
    """

    def __init__(self, exit_code, shared):
        name = signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"
        self.shared_memory_full = shared and name == "SIGBUS"
        reason = _REASONS.get(name, "num_workers 0 reads in the main process and shows where that happens")
        reason = _SHARED_MEMORY_FULL if self.shared_memory_full else reason
        super().__init__(f"a process that reads data has died ({name}): {reason}")


def read_by_workers(samples, batch_sampler, num_workers, collate, held):
    """Return a generator of collated batches, as `loading.load_batches` describes.

    Where the shared memory has no room for the batches, they come through pipes, bit for bit the same.
    """
    _warn_of_many(num_workers)
    need = shared_memory.need_of(samples, batch_sampler, num_workers, held)
    shared, count = shared_memory.has_room(need, num_workers), 0
    while True:
        rest = _Rest(batch_sampler, count)
        with contextlib.closing(_batches(samples, rest, num_workers, collate, need, shared)) as batches:
            try:
                for batch in batches:
                    count += 1
                    yield batch
                return
            except WorkerDiedError as error:
                if not error.shared_memory_full:
                    raise
                logger.warning(f"{error}; from here on batches are passed through pipes, which is slower")
                shared = False


@functools.lru_cache(maxsize=None)
def _warn_of_many(num_workers):
    cores = usable_cores()
    if num_workers * local_ranks() > _WORKERS_A_CORE * cores and parallel.rank() == 0:
        ranks = f" in each of {local_ranks()} processes" if local_ranks() > 1 else ""
        logger.warning(
            f"num_workers {num_workers}{ranks} on {cores} usable core(s): more than {_WORKERS_A_CORE} a core "
            f"take memory and wait for each other; {max(cores // local_ranks(), 1)} may be faster"
        )


class _Rest:
    """The lists of keys of a batch sampler, without the first `done` ones."""

    def __init__(self, batch_sampler, done):
        self._batch_sampler = batch_sampler
        self._done = done

    def __iter__(self):
        return itertools.islice(self._batch_sampler, self._done, None)

    def __len__(self):
        return len(self._batch_sampler) - self._done


def _batches(samples, batch_sampler, num_workers, collate, need, shared):
    """Yield batches; raise `WorkerDiedError` at the batch that a worker's death prevents."""
    loader = paddle.io.DataLoader(
        _InWorker(samples),
        batch_sampler=batch_sampler,
        num_workers=num_workers,
        collate_fn=functools.partial(_collate_in_worker, collate),
        return_list=True,
        worker_init_fn=_begin_worker,
        use_shared_memory=shared,
        prefetch_factor=shared_memory.AHEAD,
    )
    try:
        multiprocessing.Lock()  # fails before Paddle makes half of an iterator, whose end would print errors
        batches = iter(loader)
    except OSError as error:
        raise UserError(
            f"num_workers {num_workers}: processes cannot be started ({error.strerror}): they need process "
            f"numbers, memory, and room in {shared_memory.FOLDER}; num_workers 0 needs none"
        ) from error
    # Else Paddle's handler of SIGCHLD would raise an error for a worker's death anywhere, even in an update.
    paddle.base.core._erase_process_pids(id(batches))
    workers = list(batches._workers)
    threading.Thread(target=_watch, args=(batches, workers), daemon=True).start()
    # The traceback of an error may keep this generator alive to the end of Python, which would wait for the
    # workers for ever.
    end = atexit.register(functools.partial(_end_workers, batches))
    shared_memory.CLAIMS.add(id(batches), need if shared else 0, [worker.pid for worker in workers])
    died = False
    try:
        for batch in _until_a_death(batches, workers, shared):
            yield _received(batch, samples)
    except WorkerDiedError:
        died = True
        raise
    finally:
        shared_memory.CLAIMS.remove(id(batches))
        atexit.unregister(end)
        end()
        # Only then: containers may share the folder, and their processes may have the same numbers.
        if died:
            shared_memory.remove_files([worker.pid for worker in workers])


def _watch(batches, workers):
    """Wait until a worker ends; if batches are still to come, let the next one raise an error.

    Paddle itself would notice after seconds, or never, if the worker died while it wrote a batch to a pipe.
    """
    multiprocessing.connection.wait([worker.sentinel for worker in workers])
    if not batches._thread_done_event.is_set():
        batches._exit_thread_unexpectedly()


def _until_a_death(batches, workers, shared):
    """Yield the batches; raise `WorkerDiedError` if they end with the death of a worker."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except Exception:
            died = [worker for worker in workers if multiprocessing.connection.wait([worker.sentinel], 0)]
            if not died:
                raise
            died[0].join()
            raise WorkerDiedError(died[0].exitcode, shared) from None
        yield batch


def _begin_worker(worker_id):
    outlive_signals()
    # Paddle's handler would write to stderr; the main process reports the death instead.
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    # The workers share the cores already, and OpenCV's threads may hang in a forked process.
    cv2.setNumThreads(0)
    paddle.base.core.set_num_threads(1)


def _end_workers(batches):
    # A thread of the iterator refers to it, so it is never collected, and nor are its workers.
    batches._try_shutdown_all(1)
    for worker in batches._workers:  # a worker that still reads, or hangs while reading; it ignores SIGTERM
        if worker.is_alive():
            worker.kill()


class _InWorker:
    """Samples as (sample, {index: why it could not be read}), or the exception that reading raised.

    An exception in a worker would reach the main process as one of several, whichever of Paddle's threads is
    first; data arrives as it is.
    """

    def __init__(self, samples):
        self._samples = samples

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, key):
        try:
            return self._samples.read(key) if hasattr(self._samples, "read") else (self._samples[key], {})
        except Exception as error:
            return error


def _collate_in_worker(collate, read):
    """Return the batch that `_InWorker` read; a dict holds the batch and its reports, if there are any."""
    try:
        for item in read:
            if isinstance(item, Exception):
                raise item
        batch = collate([sample for sample, _ in read])
    except Exception as error:
        kind = next((name for name, known in _ERRORS.items() if isinstance(error, known)), "bug")
        text = traceback.format_exc() if kind == "bug" else str(error)
        return {"error": _text_to_array(text or kind), "kind": kind}
    bad = [pair for _, bad_of_sample in read for pair in bad_of_sample.items()]
    # Not with every batch: on a GPU the main process would wait for the text.
    return {"batch": batch, "bad": _text_to_array(json.dumps(bad))} if bad else batch


def _received(batch, samples):
    """Return the batch of `_collate_in_worker` in the main process; raise or note what came with it."""
    if isinstance(batch, dict) and "error" in batch:
        text = _array_to_text(batch["error"])
        if batch["kind"] not in _ERRORS:
            raise RuntimeError(f"a process that reads data failed:\n{text}")
        raise _ERRORS[batch["kind"]](text)
    if isinstance(batch, dict) and "bad" in batch:
        samples.note(dict(json.loads(_array_to_text(batch["bad"]))))
        return batch["batch"]
    return batch


def _text_to_array(text):
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype="uint8")


def _array_to_text(array):
    return array.numpy().tobytes().decode(errors="surrogateescape")
