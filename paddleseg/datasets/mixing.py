"""Batches that hold images with masks, images without, or both."""

import bisect
import itertools

import numpy as np

from paddleseg.datasets.sampling import EpochBatches, SeededSamples

# Together with the seed, it makes the seed of the images without masks.
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
    micro_batches=1,
    views=None,
    defer_normalize=False,
):
    """Return the batch sampler and the samples of a training.

    Each of the two data sets has its own epochs and its own order, so there is no state to save. In a batch
    the labelled samples come first.

    Args:
        labeled: the data set of images with masks; not read if `unlabeled_per_batch` is `batch_size`.
        unlabeled: the data set of images without masks; None if `unlabeled_per_batch` is 0.
        batch_size: samples of one batch on one rank, both kinds together.
        unlabeled_per_batch: how many of them come from `unlabeled`, from 0 to `batch_size`.
        iters, seed, rank, nranks, start_iter, views: as in `EpochBatches`.
        micro_batches: the number of batches that an iteration has on one rank; their keys come as one list,
            batch after batch. Default 1.
        defer_normalize: as in `SeededSamples`.

    Returns:
        (batch sampler, samples). The batch sampler yields lists of keys and has a length and
        `iters_per_epoch`, that of the labelled samples if there are any. The samples are indexed by key and
        have `file_list`. A key is (view, index); the indices of the unlabelled samples follow those of the
        labelled ones.

    Raises:
        UserError: a data set has fewer samples than one iteration of all ranks needs of it.
    """
    batches, samples, counts = [], [], []

    def add(dataset, count, seed, name, is_labeled):
        samples.append(SeededSamples(dataset, seed, is_labeled, defer_normalize=defer_normalize))
        batches.append(
            EpochBatches(
                len(dataset),
                count * micro_batches,
                iters,
                seed,
                rank,
                nranks,
                start_iter,
                name=name,
                views=views,
            )
        )
        counts.append(count)

    if unlabeled_per_batch < batch_size:
        add(labeled, batch_size - unlabeled_per_batch, seed, "the training set", is_labeled=True)
    if unlabeled_per_batch:
        own_seed = int(np.random.default_rng([seed, _UNLABELED]).integers(2**32))
        add(unlabeled, unlabeled_per_batch, own_seed, "the unlabeled_dataset", is_labeled=False)
    if len(samples) == 1:
        return batches[0], samples[0]
    return _MixedBatches(batches, counts, micro_batches), _MixedSamples(samples)


class _MixedBatches:
    """The batches of several sources, joined: each micro-batch has `counts` samples of each source."""

    def __init__(self, sources, counts, micro_batches):
        self._sources = sources
        self._counts = counts
        self._micro_batches = micro_batches
        self._offsets = _offsets(source.num_samples for source in sources)
        self.iters_per_epoch = sources[0].iters_per_epoch

    def __len__(self):
        return len(self._sources[0])

    def __iter__(self):
        for batches in zip(*self._sources):
            yield [
                (view, index + offset)
                for i in range(self._micro_batches)
                for batch, count, offset in zip(batches, self._counts, self._offsets)
                for view, index in batch[i * count : (i + 1) * count]
            ]


class _MixedSamples:
    """The samples of several sources by the keys of `_MixedBatches`."""

    def __init__(self, sources):
        self._sources = sources
        self._offsets = _offsets(len(source) for source in sources)

    def __len__(self):
        return sum(map(len, self._sources))

    def __getitem__(self, key):
        view, index = key
        source, offset = self._source_and_offset(index)
        return source[view, index - offset]

    def same_source(self, index):
        """Return the range of the indices whose samples come from the same source."""
        source, offset = self._source_and_offset(index)
        return range(offset, offset + len(source))

    def _source_and_offset(self, index):
        number = bisect.bisect_right(self._offsets, index) - 1
        return self._sources[number], self._offsets[number]

    @property
    def file_list(self):
        """The files of all sources, one list after the other; None unless every source lists its files."""
        lists = [source.file_list for source in self._sources]
        return None if None in lists else list(itertools.chain(*lists))


def _offsets(lengths):
    """Return the first index of each source."""
    return [0, *itertools.accumulate(lengths)][:-1]
