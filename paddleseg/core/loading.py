"""Samples to batches of tensors."""

import functools

import numpy as np
import paddle

from paddleseg.core.signals import outlive_signals
from paddleseg.errors import UserError


def load_batches(samples, batch_sampler, num_workers, collate):
    """Return a generator of collated batches, their arrays turned into tensors; close it to end the workers.

    With workers, Paddle's `DataLoader` reads. Without, this process does, and not Paddle's reader thread, in
    which an error such as an unreadable image would hang the process instead of reaching the user.

    Args:
        samples: maps a key to a sample.
        batch_sampler: iterable of lists of keys, with a length.
        num_workers: processes that read.
        collate: turns a list of samples into nested lists and dicts of arrays.
    """
    if num_workers:
        loader = paddle.io.DataLoader(
            _ErrorsAsData(samples),
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=functools.partial(_collate_unless_error, collate),
            return_list=True,
            worker_init_fn=outlive_signals,
        )
        return _read_by_workers(loader)
    return (_to_tensors(collate([samples[key] for key in keys])) for keys in batch_sampler)


def _read_by_workers(loader):
    batches = iter(loader)
    try:
        for batch in batches:
            yield _raise_if_error(batch)
    finally:
        # Its own thread refers to the iterator, which is therefore never collected, nor its workers.
        batches._try_shutdown_all(1)


class _ErrorsAsData:
    """Samples, or the `UserError` that reading one raised.

    What is raised in a worker reaches the main process as one of several exceptions, whichever of Paddle's
    threads is first; data arrives as it is.
    """

    def __init__(self, samples):
        self._samples = samples

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, key):
        try:
            return self._samples[key]
        except UserError as error:
            return error


def _collate_unless_error(collate, samples):
    error = next((sample for sample in samples if isinstance(sample, UserError)), None)
    if error is not None:
        return {"error": np.frombuffer(str(error).encode(), dtype="uint8")}
    try:
        return collate(samples)
    except UserError as mistake:
        return _collate_unless_error(collate, [mistake])


def _raise_if_error(batch):
    if isinstance(batch, dict) and "error" in batch:
        raise UserError(batch["error"].numpy().tobytes().decode())
    return batch


def stack(samples):
    """Return samples, dicts of arrays of equal shape, as one dict of stacked arrays.

    Raises:
        UserError: their shapes differ.
    """
    for key in samples[0]:
        shapes = sorted({tuple(np.shape(sample[key])) for sample in samples})
        if len(shapes) > 1:
            raise UserError(
                f"a batch has samples of different shapes, {key!r} {shapes[0]} and {shapes[1]}; a transform "
                f"such as Resize or RandomPaddingCrop makes them equal"
            )
    return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}


def _to_tensors(value):
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return paddle.to_tensor(value)
