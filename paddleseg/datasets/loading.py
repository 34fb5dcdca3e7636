"""Samples to batches of tensors, read by worker processes, by a thread, or at once."""

import concurrent.futures
import contextlib

import numpy as np
import paddle

from paddleseg.datasets.workers import read_by_workers
from paddleseg.errors import UserError
from paddleseg.transforms.functional import normalized_planes


def load_batches(samples, batch_sampler, num_workers, collate, ahead=False, held=2):
    """Return a generator of collated batches, their arrays turned into tensors; close it to end the workers.

    With workers, Paddle's `DataLoader` reads; the workers live as long as the generator. Without workers,
    this process reads. Paddle's reader thread is not used for that: an error in it, such as an unreadable
    image, would hang the process instead of reaching the user.

    A `Normalize` that `SeededSamples` deferred is done here, on the device. In any case `img` is float32
    N x C x H x W and `label` is int64.

    Args:
        samples: maps a key to a sample. If it also has `read` and `note`, as `ReplacedSamples` has, workers
            call `read` and this process calls `note`.
        batch_sampler: iterable of lists of keys, with a length.
        num_workers: the number of processes that read; 0 for none.
        collate: turns a list of samples into nested lists and dicts. Their arrays become tensors; numbers and
            texts stay what they are.
        ahead: without workers, let a thread read the next batch while this one is used. The thread seeds
            NumPy's and Python's global generators around each sample, so nobody else may draw from them
            meanwhile. Default False.
        held: how many batches the caller may hold at the same time. Default 2, the last one and this one.

    Raises:
        UserError: a sample or a batch cannot be made; or a worker has died.
    """
    if num_workers:
        batches = read_by_workers(samples, batch_sampler, num_workers, collate, held)
    else:
        batches = (collate([samples[key] for key in keys]) for keys in batch_sampler)
        batches = _read_ahead(batches) if ahead else batches
    return _on_device(batches)


def _on_device(batches):
    with contextlib.closing(batches):
        for batch in batches:
            yield _normalized(_to_tensors(batch))


def _to_tensors(value):
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return paddle.to_tensor(value) if isinstance(value, np.ndarray) else value


def _normalized(batch):
    """Return a batch, or a list of batches, after the `Normalize` that was deferred, if any."""
    if isinstance(batch, list):
        return [_normalized(one) for one in batch]
    if not isinstance(batch, dict) or "normalize" not in batch:
        return batch
    batch = dict(batch)
    mean, std = (values.unsqueeze([1, 2]) for values in paddle.unbind(batch.pop("normalize"), axis=1))
    # Paddle would multiply by the inverse of a plain number, which rounds otherwise than NumPy does.
    images = paddle.divide(batch["img"].astype("float32"), paddle.full([1], 255.0))
    batch["img"] = ((images - mean) / std).transpose([0, 3, 1, 2])
    if "label" in batch:
        batch["label"] = batch["label"].astype("int64")
    return batch


def _read_ahead(batches):
    """Yield the items of a generator; a thread reads each one while the one before is used."""
    with concurrent.futures.ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def stack(samples):
    """Return samples, dicts of arrays of equal shape, as one dict of stacked arrays.

    A key may be absent from the last samples, as `label` is from images without a mask. If only some samples
    have a deferred `Normalize`, it is done here.

    Raises:
        UserError: their shapes differ.
    """
    if len({"normalize" in sample for sample in samples}) > 1:
        samples = [_normalized_sample(sample) for sample in samples]
    batch = {}
    for key in samples[0]:
        arrays = [sample[key] for sample in samples if key in sample]
        shapes = sorted({tuple(np.shape(array)) for array in arrays})
        if len(shapes) > 1:
            raise UserError(
                f"a batch has samples of different shapes, {key!r} {shapes[0]} and {shapes[1]}; a transform "
                f"such as Resize or RandomPaddingCrop makes them equal"
            )
        batch[key] = np.stack(arrays)
    return batch


def _normalized_sample(sample):
    sample = dict(sample)
    if "normalize" in sample:
        sample["img"] = normalized_planes(sample["img"], *sample.pop("normalize"))
    return sample
