"""Samples to batches of tensors."""

import atexit
import functools
import json

import numpy as np
import paddle

from paddleseg.core.signals import outlive_signals
from paddleseg.errors import UserError


def load_batches(samples, batch_sampler, num_workers, collate):
    """Return a generator of collated batches, their arrays turned into tensors; close it to end the workers.

    With workers, Paddle's `DataLoader` reads. Without, this process does, and not Paddle's reader thread, in
    which an error such as an unreadable image would hang the process instead of reaching the user.

    Args:
        samples: maps a key to a sample. If it also has `read` and `note`, as `ReplacedSamples` has, workers
            call the former and this process the latter.
        batch_sampler: iterable of lists of keys, with a length.
        num_workers: processes that read.
        collate: turns a list of samples into nested lists and dicts of arrays, which become tensors, and of
            numbers and texts, which stay what they are.
    """
    if num_workers:
        loader = paddle.io.DataLoader(
            _InWorker(samples),
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=functools.partial(_collate_in_worker, collate),
            return_list=True,
            worker_init_fn=outlive_signals,
        )
        return _read_by_workers(loader, samples)
    return (_to_tensors(collate([samples[key] for key in keys])) for keys in batch_sampler)


def _read_by_workers(loader, samples):
    batches = iter(loader)
    # An error's traceback may keep this generator to the end, where Python waits for workers for ever.
    end = atexit.register(functools.partial(_end_workers, batches))
    try:
        for batch in batches:
            yield _received(batch, samples)
    finally:
        atexit.unregister(end)
        end()


def _end_workers(batches):
    # Its own thread refers to the iterator, which is therefore never collected, nor its workers.
    batches._try_shutdown_all(1)
    for worker in batches._workers:  # one that is still reading, or stuck in it; it ignores SIGTERM
        if worker.is_alive():
            worker.kill()


class _InWorker:
    """Samples as (sample, {index: why it could not be read}), or the `UserError` that reading one raised.

    What is raised in a worker reaches the main process as one of several exceptions, whichever of Paddle's
    threads is first; data arrives as it is.
    """

    def __init__(self, samples):
        self._samples = samples

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, key):
        try:
            return self._samples.read(key) if hasattr(self._samples, "read") else (self._samples[key], {})
        except UserError as error:
            return error


def _collate_in_worker(collate, read):
    error = next((item for item in read if isinstance(item, UserError)), None)
    if error is None:
        try:
            batch = collate([sample for sample, _ in read])
        except UserError as mistake:
            error = mistake
    if error is not None:
        return {"error": _text_to_array(str(error))}
    bad = [pair for _, told in read for pair in told.items()]
    # Only then: on a GPU the main process would wait for the text of each batch.
    return {"batch": batch, "bad": _text_to_array(json.dumps(bad))} if bad else batch


def _received(batch, samples):
    if isinstance(batch, dict) and "error" in batch:
        raise UserError(_array_to_text(batch["error"]))
    if isinstance(batch, dict) and "bad" in batch:
        samples.note(dict(json.loads(_array_to_text(batch["bad"]))))
        return batch["batch"]
    return batch


def _text_to_array(text):
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype="uint8")


def _array_to_text(array):
    return array.numpy().tobytes().decode(errors="surrogateescape")


def stack(samples):
    """Return samples, dicts of arrays of equal shape, as one dict of stacked arrays.

    A key may be absent from the last ones, as `label` is from images without one.

    Raises:
        UserError: their shapes differ.
    """
    for key in samples[0]:
        shapes = sorted({tuple(np.shape(sample[key])) for sample in samples if key in sample})
        if len(shapes) > 1:
            raise UserError(
                f"a batch has samples of different shapes, {key!r} {shapes[0]} and {shapes[1]}; a transform "
                f"such as Resize or RandomPaddingCrop makes them equal"
            )
    return {key: np.stack([sample[key] for sample in samples if key in sample]) for key in samples[0]}


def _to_tensors(value):
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return paddle.to_tensor(value) if isinstance(value, np.ndarray) else value
