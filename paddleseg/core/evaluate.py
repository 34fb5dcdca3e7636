"""A model's scores on a dataset, at the masks' own resolution."""

import contextlib
import itertools

import numpy as np
import paddle

from paddleseg.core import parallel
from paddleseg.core.loading import load_batches
from paddleseg.core.predict import classes_at
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError
from paddleseg.models.losses.combine import output_list
from paddleseg.utils.metrics import confusion_matrix, scores


def evaluate(model, dataset, num_classes, batch_size=1, num_workers=0, on_batch=None):
    """Return the `Scores` of a model on a dataset, every image counted once whatever the number of ranks.

    The main logits are resized bilinearly to each mask's own size, as PaddleSeg does, so that what the
    transforms do to the image does not change what is counted. Confusions are summed on the device and read
    by the host once, at the end.

    Args:
        model: maps N x 3 x H x W to a list of logits N x C x h x w, the main one first. Its training
            mode is put back afterwards.
        dataset: a map-style dataset in evaluation mode; it may have an `ignore_index`, 255 unless it says so.
        num_classes: number of classes C.
        batch_size: images of equal size that are run together.
        num_workers: processes that read.
        on_batch: called before each batch, equally often on all ranks; what it raises ends the evaluation.

    Raises:
        UserError: the dataset is empty, or the model's output is no map of logits.
    """
    if len(dataset) == 0:
        raise UserError("the dataset to evaluate on holds no image")
    ignore_index = getattr(dataset, "ignore_index", 255)
    batches = _SharedBatches(len(dataset), batch_size, parallel.rank(), parallel.num_ranks())
    was_training = model.training
    model.eval()
    total = paddle.zeros([num_classes, num_classes], dtype="int64")
    loader = load_batches(SeededSamples(dataset, seed=0), batches, num_workers, group_by_size)
    with paddle.no_grad(), contextlib.closing(loader):
        for groups in _announced(loader, on_batch, batches.most):
            for images, labels in groups:
                logits = output_list(model(images))[0]
                _check_logits(logits, num_classes)
                predicted = classes_at(logits, labels.shape[1:])
                total += confusion_matrix(predicted, labels, num_classes, ignore_index)
    if was_training:
        model.train()
    return scores(parallel.sum_over_ranks(total).numpy())


def _announced(loader, on_batch, most):
    """Yield batches, calling `on_batch` before each, and `most` times even if there are fewer."""
    for _ in range(most):
        if on_batch is not None:
            on_batch()
        yield from itertools.islice(loader, 1)


def group_by_size(samples):
    """Return [[images, labels], ...] of a batch, one pair for each combination of image and mask size.

    Args:
        samples: list of {'img': C x H x W, 'label': H' x W'}.
    """
    groups = {}
    for sample in samples:
        groups.setdefault((sample["img"].shape, sample["label"].shape), []).append(sample)
    return [
        [np.stack([s["img"] for s in group]), np.stack([s["label"] for s in group])]
        for group in groups.values()
    ]


def _check_logits(logits, num_classes):
    if len(logits.shape) != 4 or logits.shape[1] != num_classes:
        raise UserError(
            f"the model's first output has shape {list(logits.shape)}; to be evaluated on {num_classes} "
            f"classes it must be N x {num_classes} x H x W (--no_eval trains without evaluating)"
        )


class _SharedBatches:
    """Batches of keys (0, index) for one rank: the images are dealt out in turn, none twice."""

    def __init__(self, num_samples, batch_size, rank, nranks):
        # Rank 0 has the most images, so the most batches.
        self.most = -(-len(range(0, num_samples, nranks)) // batch_size)
        mine = [(0, i) for i in range(rank, num_samples, nranks)]
        self._batches = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]

    def __iter__(self):
        return iter(self._batches)

    def __len__(self):
        return len(self._batches)
