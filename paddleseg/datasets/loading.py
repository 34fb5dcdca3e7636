"""Samples to batches of tensors."""

import atexit
import concurrent.futures
import contextlib
import functools
import json

import cv2
import numpy as np
import paddle

from paddleseg.errors import UserError
from paddleseg.parallel.signals import outlive_signals
from paddleseg.transforms.functional import normalized_planes


def load_batches(samples, batch_sampler, num_workers, collate, ahead=False):
    """Return a generator of collated batches, their arrays turned into tensors; close it to end the workers.

    With workers, Paddle's `DataLoader` reads; they live as long as the generator. Without, this process does,
    and not Paddle's reader thread, in which an error such as an unreadable image would hang the process
    instead of reaching the user.

    What `SeededSamples` left unfinished is finished here, on the device: `img` is float32 N x C x H x W and
    `label` int64 in any case.

    Args:
        samples: maps a key to a sample. If it also has `read` and `note`, as `ReplacedSamples` has, workers
            call the former and this process the latter.
        batch_sampler: iterable of lists of keys, with a length.
        num_workers: processes that read.
        collate: turns a list of samples into nested lists and dicts of arrays, which become tensors, and of
            numbers and texts, which stay what they are.
        ahead: without workers, let a thread read the next batch while this one is used. Only where nobody
            draws from NumPy's and Python's global generators meanwhile, which are seeded around each sample.
    """
    if num_workers:
        loader = paddle.io.DataLoader(
            _InWorker(samples),
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=functools.partial(_collate_in_worker, collate),
            return_list=True,
            worker_init_fn=_begin_worker,
        )
        batches = _read_by_workers(loader, samples)
    else:
        batches = (collate([samples[key] for key in keys]) for keys in batch_sampler)
        batches = _read_ahead(batches) if ahead else batches
    return _on_device(batches)


def _on_device(batches):
    with contextlib.closing(batches):
        for batch in batches:
            yield _finished(_to_tensors(batch))


def _finished(batch):
    """Return a batch, or the batches in a list, whose images are normalised by the device that holds them."""
    if isinstance(batch, list):
        return [_finished(one) for one in batch]
    if not isinstance(batch, dict) or "normalize" not in batch:
        return batch
    batch = dict(batch)
    mean, std = (values.unsqueeze([1, 2]) for values in paddle.unbind(batch.pop("normalize"), axis=1))
    # A number instead of the tensor would be multiplied by its inverse, and come out otherwise than NumPy's.
    images = paddle.divide(batch["img"].astype("float32"), paddle.full([1], 255.0))
    batch["img"] = ((images - mean) / std).transpose([0, 3, 1, 2])
    if "label" in batch:
        batch["label"] = batch["label"].astype("int64")
    return batch


def _begin_worker(worker_id):
    outlive_signals()
    # The workers share the cores already, and OpenCV's threads may hang in a forked process.
    cv2.setNumThreads(0)
    paddle.base.core.set_num_threads(1)


def _read_ahead(batches):
    """Yield what a generator yields, each item read by a thread while the one before is used."""
    with concurrent.futures.ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


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

    A key may be absent from the last ones, as `label` is from images without one. If some samples alone are
    unfinished, as `SeededSamples` calls it, they are finished here.

    Raises:
        UserError: their shapes differ.
    """
    if len({"normalize" in sample for sample in samples}) > 1:
        samples = [_finished_sample(sample) for sample in samples]
    for key in samples[0]:
        shapes = sorted({tuple(np.shape(sample[key])) for sample in samples if key in sample})
        if len(shapes) > 1:
            raise UserError(
                f"a batch has samples of different shapes, {key!r} {shapes[0]} and {shapes[1]}; a transform "
                f"such as Resize or RandomPaddingCrop makes them equal"
            )
    return {key: np.stack([sample[key] for sample in samples if key in sample]) for key in samples[0]}


def _finished_sample(sample):
    sample = dict(sample)
    if "normalize" in sample:
        sample["img"] = normalized_planes(sample["img"], *sample.pop("normalize"))
    return sample


def _to_tensors(value):
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return paddle.to_tensor(value) if isinstance(value, np.ndarray) else value
