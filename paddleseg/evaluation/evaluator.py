"""The scores of a model on a data set, at the size of its masks."""

import contextlib
import itertools

import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError
from paddleseg.evaluation.auc import BINS, score_counts
from paddleseg.evaluation.boundary import boundary_areas
from paddleseg.evaluation.inference import WHOLE, classes, eval_mode, infer
from paddleseg.evaluation.metrics import compute_scores, confusion_matrix
from paddleseg.utils.progress_bar import bar

_PIXELS_ON_CPU, _PIXELS_ON_GPU, _MAX_IMAGES = 2**16, 2**20, 16


def evaluate(
    model, dataset, num_classes, batch_size=None, num_workers=0, config=WHOLE, on_batch=None, with_bar=False
):
    """Return the `Scores` of a model on a dataset; each image counts once with any number of ranks.

    Changes of an image's size by the transforms are undone on its logits, as in PaddleSeg. Counts are summed
    up on the device, and the host reads them once, at the end.

    Args:
        model: maps N x 3 x H x W to a list of logits N x C x h x w, the main one first. Its training mode is
            restored afterwards.
        dataset: a map-style dataset in evaluation mode; see `ignored_label` for what it ignores.
        num_classes: number of classes C.
        batch_size: number of images that are read together; those of equal size run together. Default: that
            of `config`, or else the `fitting_batch_size` of the first image.
        num_workers: number of processes that read. Default 0, this process.
        config: an `EvalConfig`: how images are inferred, and what is measured in addition to the confusion
            matrix. Default: whole images, and the confusion matrix alone.
        on_batch: called before each batch, equally often on all ranks; its errors end the evaluation. Default
            None.
        with_bar: whether a terminal shows a progress bar instead of log lines. Default False.

    Raises:
        UserError: the dataset is empty, or the model's output is not N x C x H x W.
    """
    counts = _Counts(num_classes, ignored_label(dataset), config)
    for logits, labels, _ in _inferred(
        model, dataset, num_classes, batch_size, num_workers, config, on_batch, with_bar
    ):
        counts.add(logits, labels)
    return counts.scores()


def confusions_of_images(model, dataset, num_classes, batch_size=None, num_workers=0, config=WHOLE):
    """Return the confusion matrix of each image, N x C x C int64, in the order of the dataset.

    Their sum is the matrix from which `evaluate` computes its scores. This is for a process without other
    ranks.

    Args:
        model, dataset, num_classes, batch_size, num_workers, config: as in `evaluate`.

    Raises:
        UserError: as `evaluate`.
    """
    ignore_index = ignored_label(dataset)
    matrices = np.zeros([len(dataset), num_classes, num_classes], np.int64)
    for logits, labels, indices in _inferred(model, dataset, num_classes, batch_size, num_workers, config):
        predicted = classes(logits)
        for i, index in enumerate(indices):
            matrix = confusion_matrix(predicted[i], labels[i], num_classes, ignore_index)
            matrices[index] = matrix.numpy()
    return matrices


def _inferred(
    model, dataset, num_classes, batch_size=None, num_workers=0, config=WHOLE, on_batch=None, with_bar=False
):
    """Yield (logits, labels, indices in the dataset) of all groups of this rank's images.

    The arguments are those of `evaluate`.
    """
    if len(dataset) == 0:
        raise UserError("the dataset to evaluate on holds no image")
    samples = SeededSamples(dataset, seed=0, keep=("trans_info",), defer_normalize=not parallel.on_cpu())
    batch_size = batch_size or config.batch_size or fitting_batch_size(samples[0, 0])
    batches = SharedBatches(len(dataset), batch_size, parallel.rank(), parallel.num_ranks())
    loader = load_batches(samples, batches, num_workers, group_by_size, ahead=True)
    announced = _call_before_each(loader, on_batch, batches.count)
    shown = bar(announced, len(dataset), "evaluating", with_bar, batches.sizes_of_all)
    with eval_mode(model), contextlib.closing(loader), contextlib.closing(shown):
        for groups, keys in zip(shown, batches):
            for group in groups:
                labels = group["label"]
                logits = infer(model, group["img"], labels.shape[1:], config, group["trans_info"])
                _check_logits(logits, num_classes)
                yield logits, labels, [keys[position][1] for position in group["positions"]]


class _Counts:
    """Sums up on the device the counts from which the scores are computed."""

    def __init__(self, num_classes, ignore_index, config):
        self._labels = (num_classes, ignore_index)
        shapes = {"confusion": [num_classes, num_classes]}
        if config.auc_roc:
            shapes["score"] = [num_classes, 2, BINS]
        if config.boundary_iou:
            shapes["boundary"] = [num_classes, 2]
        # A rank without images takes part in the sums over ranks, too.
        self._totals = {name: paddle.zeros(shape, dtype="int64") for name, shape in shapes.items()}

    def add(self, logits, labels):
        predicted = classes(logits)
        self._totals["confusion"] += confusion_matrix(predicted, labels, *self._labels)
        if "score" in self._totals:
            self._totals["score"] += score_counts(logits, labels, *self._labels)
        if "boundary" in self._totals:
            self._totals["boundary"] += boundary_areas(predicted, labels, *self._labels)

    def scores(self):
        totals = {name: parallel.sum_over_ranks(total).numpy() for name, total in self._totals.items()}
        return compute_scores(totals["confusion"], totals.get("score"), totals.get("boundary"))


def _call_before_each(loader, on_batch, count):
    """Yield batches; call `on_batch` before each, and `count` times even if there are fewer batches."""
    for _ in range(count):
        if on_batch is not None:
            on_batch()
        yield from itertools.islice(loader, 1)


def group_by_size(samples):
    """Return samples as a list of batches; within a batch, all sizes and their changes are the same.

    Args:
        samples: list of {'img': C x H x W, 'label': H' x W'}, perhaps with a deferred `Normalize` and
            'trans_info': the changes of the image's size, as `Compose` lists them.

    Returns:
        A list of dicts as `loading.stack` returns them, with their 'trans_info' and their 'positions' in
        the list.
    """
    groups = {}
    for position, sample in enumerate(samples):
        trans_info = tuple((change, (int(h), int(w))) for change, (h, w) in sample.get("trans_info") or ())
        key = (sample["img"].shape, sample["label"].shape, trans_info)
        groups.setdefault(key, []).append((position, sample))
    return [
        {
            **stack([{k: v for k, v in s.items() if k != "trans_info"} for _, s in group]),
            "trans_info": info,
            "positions": [position for position, _ in group],
        }
        for (_, _, info), group in groups.items()
    ]


def fitting_batch_size(sample):
    """Return how many images of the size of a sample run together, 1 to 16.

    Together they have 2**20 pixels on a GPU, half an image of Cityscapes, and 2**16 on a CPU, as its caches
    hold no more.
    """
    pixels = max(sample["img"].size // 3, 1)
    return min(max((_PIXELS_ON_CPU if parallel.on_cpu() else _PIXELS_ON_GPU) // pixels, 1), _MAX_IMAGES)


def _check_logits(logits, num_classes):
    if logits.shape[1] != num_classes:
        raise UserError(
            f"the model's first output has shape {list(logits.shape)}; to be evaluated on {num_classes} "
            f"classes it must be N x {num_classes} x H x W (no_eval trains without evaluating)"
        )


class SharedBatches(list):
    """Batches of keys (0, index) for one rank; the ranks take the images in turn, none twice.

    Attributes:
        count: the number of batches of rank 0; no rank has more.
        sizes_of_all: for each of these, the number of images in the batches of all ranks together.
    """

    def __init__(self, num_samples, batch_size, rank, nranks):
        starts = range(0, num_samples, batch_size * nranks)
        self.sizes_of_all = [min(starts.step, num_samples - start) for start in starts]
        self.count = len(self.sizes_of_all)
        mine = [(0, i) for i in range(rank, num_samples, nranks)]
        super().__init__(mine[i : i + batch_size] for i in range(0, len(mine), batch_size))
