"""Samples to batches of tensors."""

import numpy as np
import paddle


def load_batches(samples, batch_sampler, num_workers, collate):
    """Return an iterable of collated batches, their arrays turned into tensors.

    With workers, Paddle's `DataLoader` reads. Without, this process does, and not Paddle's reader thread, in
    which an error such as an unreadable image would hang the process instead of reaching the user.

    Args:
        samples: maps a key to a sample.
        batch_sampler: iterable of lists of keys, with a length.
        num_workers: processes that read.
        collate: turns a list of samples into nested lists and dicts of arrays.
    """
    if num_workers:
        return paddle.io.DataLoader(
            samples,
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=collate,
            return_list=True,
        )
    return (_to_tensors(collate([samples[key] for key in keys])) for keys in batch_sampler)


def stack(samples):
    """Return samples, dicts of arrays of equal shape, as one dict of stacked arrays."""
    return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}


def _to_tensors(value):
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return paddle.to_tensor(value)
