"""Whether a method is better than the plain student: an interval by the paired bootstrap, and a word."""

import dataclasses

import numpy as np

RESAMPLES = 2000
BETTER, WORSE, NOT_SHOWN = "better", "worse", "not shown"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How the mIoU of a method differs from that of the plain student.

    Attributes:
        difference: the mean difference over the seeds.
        low, high: the 95 % interval of that difference over images and seeds.
    """

    difference: float
    low: float
    high: float

    @property
    def word(self):
        """ "better" or "worse" where the interval leaves out 0, else "not shown"."""
        if self.low > 0:
            return BETTER
        return WORSE if self.high < 0 else NOT_SHOWN


def verdict(method, plain, resamples=RESAMPLES, seed=0):
    """Compare a method with the plain student by a bootstrap over seeds and images, paired in both.

    Each resample draws seeds and images with replacement, the same ones for both. It sums the confusion
    counts of the images drawn, and takes the difference of the mean mIoU. The interval lies between the 2.5th
    and the 97.5th percentile (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    With few seeds the interval is too narrow, because few seeds say little about the spread between seeds.

    Args:
        method, plain: S x N x C x C arrays of whole numbers: for each seed and image the confusion matrix.
            Seeds and images stand in the same order in both.
        resamples: number of resamples. Default 2000.
        seed: of the draws. Default 0.

    Returns:
        `Verdict`.
    """
    method, plain = np.asarray(method), np.asarray(plain)
    seeds, images = method.shape[:2]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    differences = _resampled(weights, method) - _resampled(weights, plain)
    low, high = np.percentile((differences * of_seeds).sum(axis=1), [2.5, 97.5])
    observed = mean_iou(method.sum(axis=1)) - mean_iou(plain.sum(axis=1))
    return Verdict(float(observed.mean()), float(low), float(high))


def _resampled(weights, confusion):
    """Return resamples x S: the mIoU of each seed on the images that each resample draws.

    Args:
        weights: resamples x N: how often each image is drawn.
        confusion: S x N x C x C confusion counts.
    """
    # Both counts of a class are sums over the images, so C numbers an image are enough.
    hits, union = _hits_and_union(confusion)
    return np.stack([_mean_ratio(weights @ h, weights @ u) for h, u in zip(hits, union)], axis=1)


def mean_iou(confusion):
    """Return the mIoU of ... x C x C confusion counts; a class without pixels counts as 0."""
    return _mean_ratio(*_hits_and_union(confusion))


def _hits_and_union(confusion):
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return hits, confusion.sum(-1) + confusion.sum(-2) - hits


def _mean_ratio(hits, union):
    return np.divide(hits, union, out=np.zeros(hits.shape), where=union != 0).mean(-1)
