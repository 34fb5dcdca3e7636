"""A model's scores on a dataset, at the masks' own resolution."""

import contextlib
import itertools

import paddle

from paddleseg import parallel
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError
from paddleseg.evaluation.auc import BINS, score_counts
from paddleseg.evaluation.boundary import boundary_areas
from paddleseg.evaluation.inference import WHOLE, classes, infer
from paddleseg.evaluation.metrics import confusion_matrix, scores
from paddleseg.utils.progress_bar import bar

_PIXELS_ON_CPU, _PIXELS_ON_GPU, _MOST = 2**16, 2**20, 16


def evaluate(
    model, dataset, num_classes, batch_size=None, num_workers=0, config=WHOLE, on_batch=None, with_bar=False
):
    """Return the `Scores` of a model on a dataset, every image counted once whatever the number of ranks.

    What the transforms did to an image's size is undone on the logits, as PaddleSeg does, so that it does not
    change what is counted. Counts are summed on the device and read by the host once, at the end.

    Args:
        model: maps N x 3 x H x W to a list of logits N x C x h x w, the main one first. Its training
            mode is put back afterwards.
        dataset: a map-style dataset in evaluation mode; of what it ignores, see `ignored_label`.
        num_classes: number of classes C.
        batch_size: images that are read, and those of equal size among them run, together; chosen by
            `fitting_batch_size` of the first image if None.
        num_workers: processes that read.
        config: an `EvalConfig`: how images are inferred, and what is measured beside the confusion.
        on_batch: called before each batch, equally often on all ranks; what it raises ends the evaluation.
        with_bar: show a progress bar on a terminal, instead of a log line every so often.

    Raises:
        UserError: the dataset is empty, or the model's output is no map of logits.
    """
    if len(dataset) == 0:
        raise UserError("the dataset to evaluate on holds no image")
    ignore_index = ignored_label(dataset)
    samples = SeededSamples(dataset, seed=0, keep=("trans_info",), defer_normalize=not parallel.on_cpu())
    if batch_size is None:
        batch_size = fitting_batch_size(samples[0, 0])
    batches = _SharedBatches(len(dataset), batch_size, parallel.rank(), parallel.num_ranks())
    loader = load_batches(samples, batches, num_workers, group_by_size, ahead=True)
    was_training = model.training
    model.eval()
    counts = _Counts(num_classes, ignore_index, config)
    with paddle.no_grad(), contextlib.closing(loader):
        announced = _announced(loader, on_batch, batches.most)
        shown = bar(announced, len(dataset), "evaluating", with_bar, batches.sizes_of_all)
        with contextlib.closing(shown):
            for groups in shown:
                for group in groups:
                    labels = group["label"]
                    logits = infer(model, group["img"], labels.shape[1:], config, group["trans_info"])
                    _check_logits(logits, num_classes)
                    counts.add(logits, labels)
    if was_training:
        model.train()
    return counts.scores()


class _Counts:
    """What is counted on the device of all images, for the scores."""

    def __init__(self, num_classes, ignore_index, config):
        self._of_labels = (num_classes, ignore_index)
        shapes = {"confusion": [num_classes, num_classes]}
        if config.auc_roc:
            shapes["score"] = [num_classes, 2, BINS]
        if config.boundary_iou:
            shapes["boundary"] = [num_classes, 2]
        # Zeros rather than nothing: a rank without images takes part in the sums over ranks, too.
        self._totals = {name: paddle.zeros(shape, dtype="int64") for name, shape in shapes.items()}

    def add(self, logits, labels):
        predicted = classes(logits)
        self._totals["confusion"] += confusion_matrix(predicted, labels, *self._of_labels)
        if "score" in self._totals:
            self._totals["score"] += score_counts(logits, labels, *self._of_labels)
        if "boundary" in self._totals:
            self._totals["boundary"] += boundary_areas(predicted, labels, *self._of_labels)

    def scores(self):
        totals = {name: parallel.sum_over_ranks(total).numpy() for name, total in self._totals.items()}
        return scores(totals["confusion"], totals.get("score"), totals.get("boundary"))


def _announced(loader, on_batch, most):
    """Yield batches, calling `on_batch` before each, and `most` times even if there are fewer."""
    for _ in range(most):
        if on_batch is not None:
            on_batch()
        yield from itertools.islice(loader, 1)


def group_by_size(samples):
    """Return the samples of a batch as a list of batches, one for each way of coming to image and mask.

    Args:
        samples: list of {'img': C x H x W, 'label': H' x W'}, perhaps with a deferred `Normalize` and
            'trans_info': what was done to the size of the image, as `Compose` lists it.

    Returns:
        A list of dicts as `loading.stack` returns them, each with a 'trans_info'.
    """
    groups = {}
    for sample in samples:
        trans_info = tuple((kind, (int(h), int(w))) for kind, (h, w) in sample.get("trans_info") or ())
        key = (sample["img"].shape, sample["label"].shape, trans_info)
        groups.setdefault(key, []).append(sample)
    return [
        {**stack([{k: v for k, v in s.items() if k != "trans_info"} for s in group]), "trans_info": info}
        for (_, _, info), group in groups.items()
    ]


def fitting_batch_size(sample):
    """Return how many images as large as a sample's run together.

    On a GPU that is what has 2**20 pixels, half a photograph of Cityscapes; on a CPU, whose caches more would
    only spoil, 2**16; at least one image, and at most 16.
    """
    pixels = max(sample["img"].size // 3, 1)
    return min(max((_PIXELS_ON_CPU if parallel.on_cpu() else _PIXELS_ON_GPU) // pixels, 1), _MOST)


def _check_logits(logits, num_classes):
    if logits.shape[1] != num_classes:
        raise UserError(
            f"the model's first output has shape {list(logits.shape)}; to be evaluated on {num_classes} "
            f"classes it must be N x {num_classes} x H x W (--no_eval trains without evaluating)"
        )


class _SharedBatches:
    """Batches of keys (0, index) for one rank: the images are dealt out in turn, none twice."""

    def __init__(self, num_samples, batch_size, rank, nranks):
        starts = range(0, num_samples, batch_size * nranks)
        # Of the images of all ranks together, those that each of rank 0's batches stands for.
        self.sizes_of_all = [min(starts.step, num_samples - start) for start in starts]
        # Rank 0 has the most images, so the most batches.
        self.most = len(self.sizes_of_all)
        mine = [(0, i) for i in range(rank, num_samples, nranks)]
        self._batches = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]

    def __iter__(self):
        return iter(self._batches)

    def __len__(self):
        return len(self._batches)
