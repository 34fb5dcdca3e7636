"""A look at a few files of the data sets before a training starts."""

import functools

import numpy as np

from paddleseg.datasets.file_lists import pairs_of
from paddleseg.datasets.file_samples import reads_by_default
from paddleseg.datasets.pair_check import check_pair, doubts_of_set
from paddleseg.utils.logger import logger

LOOKED_AT, LOOKED_AT_IN_DOUBT = 8, 64


def look_at_samples(datasets):
    """Warn of possible faults in images and masks that can be read.

    A file that cannot be read is left to the training. A data set that reads files in its own way is not
    looked at.

    Args:
        datasets: {name for messages: data set or None}.
    """
    for name, dataset in datasets.items():
        if dataset is None or not pairs_of(dataset) or not reads_by_default(dataset):
            continue
        check = functools.partial(_check, dataset)
        # The lines about the whole set must not come from a few odd samples.
        few = check(LOOKED_AT)
        lines = doubts_of_set(dataset, few) and doubts_of_set(dataset, check(LOOKED_AT_IN_DOUBT))
        for line in lines:
            logger.warning(f"{name}: {line}")
        for pair in few:
            dataset.transforms.note(pair.doubts)


def _check(dataset, count):
    """Return the `CheckedPair`s of `count` samples, evenly spread over the data set."""
    pairs = pairs_of(dataset)
    indices = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    return [check_pair(dataset, pairs[index]) for index in indices]
