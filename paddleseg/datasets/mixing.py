"""Batches of images with masks and of images without."""

import bisect
import itertools

import numpy as np

from paddleseg.datasets.sampling import EpochBatches, SeededSamples

# Keeps what is drawn for images without masks apart from what is drawn for those with masks.
_UNLABELED = 3


def mixed(
    labeled,
    unlabeled,
    batch_size,
    unlabeled_per_batch,
    iters,
    seed,
    rank=0,
    nranks=1,
    start_iter=0,
    parts=1,
    views=None,
    unfinished=False,
):
    """Return the batch sampler and the samples of a training.

    Each of the two data sets has epochs of its own, each epoch an order of its own, so that nothing has a
    state to save; of a batch, the labelled samples come first.

    Args:
        labeled: the data set of images with masks; not read where a batch holds none.
        unlabeled: the data set of images without; None where a batch holds none.
        batch_size: samples a batch and rank, both kinds together.
        unlabeled_per_batch: how many of them are of `unlabeled`, from 0 to `batch_size`.
        iters, seed, rank, nranks, start_iter, views: as in `EpochBatches`.
        parts: how many batches an iteration and rank has; their keys come as one list, one after the other.
        unfinished: as in `SeededSamples`.

    Returns:
        (an iterable of lists of keys, with a length and `iters_per_epoch`, that of the labelled samples if
        there are any; a mapping from key to sample, with a `file_list`). A key is (view, index); the
        indices of the unlabelled samples follow on those of the labelled ones.

    Raises:
        UserError: a data set has fewer samples than one iteration of all ranks needs of it.
    """
    sources = []
    if unlabeled_per_batch < batch_size:
        samples = SeededSamples(labeled, seed, unfinished=unfinished)
        sources.append((samples, batch_size - unlabeled_per_batch, "the training set"))
    if unlabeled_per_batch:
        other_seed = int(np.random.default_rng([seed, _UNLABELED]).integers(2**32))
        samples = SeededSamples(unlabeled, other_seed, labeled=False, unfinished=unfinished)
        sources.append((samples, unlabeled_per_batch, "the unlabeled_dataset"))
    counts = [count for _, count, _ in sources]
    batches = [
        EpochBatches(len(s), count * parts, iters, s.seed, rank, nranks, start_iter, name=name, views=views)
        for s, count, name in sources
    ]
    samples = [samples for samples, _, _ in sources]
    if len(sources) == 1:
        return batches[0], samples[0]
    return _MixedBatches(batches, counts, parts), _MixedSamples(samples)


class _MixedBatches:
    """Batches of several sources, joined; `counts` of each make a part."""

    def __init__(self, sources, counts, parts):
        self._sources = sources
        self._counts = counts
        self._parts = parts
        self._offsets = _offsets([source.num_samples for source in sources])
        self.iters_per_epoch = sources[0].iters_per_epoch

    def __len__(self):
        return len(self._sources[0])

    def __iter__(self):
        for batches in zip(*self._sources):
            yield [
                (view, index + offset)
                for part in range(self._parts)
                for batch, count, offset in zip(batches, self._counts, self._offsets)
                for view, index in batch[part * count : (part + 1) * count]
            ]


class _MixedSamples:
    """Samples of several sources under the keys of `_MixedBatches`."""

    def __init__(self, sources):
        self._sources = sources
        self._offsets = _offsets([len(source) for source in sources])

    def __len__(self):
        return sum(len(source) for source in self._sources)

    def alike(self, index):
        """Return the indices, a range, of the samples that are of the same source."""
        source = self._source(index)
        return range(self._offsets[source], self._offsets[source] + len(self._sources[source]))

    def _source(self, index):
        return bisect.bisect_right(self._offsets, index) - 1

    def __getitem__(self, key):
        view, index = key
        source = self._source(index)
        return self._sources[source][view, index - self._offsets[source]]

    @property
    def file_list(self):
        """The files of the sources, one list after the other; None unless all of them tell theirs."""
        lists = [source.file_list for source in self._sources]
        return None if None in lists else list(itertools.chain(*lists))


def _offsets(lengths):
    return [0, *itertools.accumulate(lengths)][:-1]
