"""The order and the randomness of training samples, each a function of (seed, epoch, sample index).

Nothing here has a state to save: a training resumes at any iteration without replaying earlier ones, and
the number of worker processes changes nothing. A sample comes about in three steps:

1. `EpochBatches` yields a batch as a list of keys (view, index). `index` is the number of the sample in its
   data set, `view` the number of one of its augmentations.
2. `SeededSamples` turns a key into a sample, augmented by what is drawn for (seed, view, index).
3. `ReplacedSamples` puts another sample in the place of one that cannot be read.
"""

import contextlib
import dataclasses
import random
from typing import Optional

import numpy as np

from paddleseg.datasets.file_samples import can_defer_normalize
from paddleseg.errors import SampleError, UserError
from paddleseg.utils.logger import logger

# Each purpose has its own stream of random numbers: the order of an epoch `default_rng([seed, epoch])`, all
# others one whose seed ends with a number above 0, since a trailing 0 would not change the stream.
_TRANSFORMS, _GLOBALS, _REPLACEMENTS = 1, 2, 3


def sample_rng(seed, view, index):
    """Return the `numpy.random.Generator` of one view of one sample; all three are integers >= 0."""
    return np.random.default_rng([seed, view, index, _TRANSFORMS])


@dataclasses.dataclass(eq=False)
class EpochBatches:
    """A batch sampler: the batches of one rank, from iteration `start_iter` to the last.

    Each epoch visits all samples in a new order and drops the remainder that does not fill a batch on every
    rank. The ranks divide each batch of batch_size * nranks samples among them, in order: 2 ranks with
    batches of 2 see together what 1 rank with batches of 4 sees.

    Args:
        num_samples: the length of the data set.
        batch_size: samples of one batch on one rank.
        iters: the last iteration is iters - 1.
        seed: an integer >= 0; the order of an epoch is the permutation of `default_rng([seed, epoch])`.
        rank, nranks: the number of this process, and how many there are. Default 0 and 1.
        start_iter: the first iteration. Default 0.
        shuffle: if false, every epoch has the order of the data set. Default True.
        name: the data set in messages. Default "the training set".
        views: the number of views K: epoch e has view e mod K. None for view e, a new one in every epoch.
            Default None.

    Yields:
        For every iteration a list of `batch_size` keys (view, index).

    Attributes:
        iters_per_epoch: num_samples // (batch_size * nranks).

    Raises:
        UserError: the data set has fewer samples than the ranks need for one batch.
    """

    num_samples: int
    batch_size: int
    iters: int
    seed: int
    rank: int = 0
    nranks: int = 1
    start_iter: int = 0
    shuffle: bool = True
    name: str = "the training set"
    views: Optional[int] = None

    def __post_init__(self):
        self.iters_per_epoch = self.num_samples // (self.batch_size * self.nranks)
        if not self.iters_per_epoch:
            raise UserError(
                f"{self.name} has {self.num_samples} samples, fewer than one batch needs: batch_size "
                f"{self.batch_size} x {self.nranks} processes = {self.batch_size * self.nranks}; "
                f"lower batch_size"
            )

    def __len__(self):
        return max(self.iters - self.start_iter, 0)

    def __iter__(self):
        for iteration in range(self.start_iter, self.iters):
            epoch, batch = divmod(iteration, self.iters_per_epoch)
            if batch == 0 or iteration == self.start_iter:
                order = self._order(epoch)
            first = (batch * self.nranks + self.rank) * self.batch_size
            view = epoch if self.views is None else epoch % self.views
            yield [(view, int(index)) for index in order[first : first + self.batch_size]]

    def _order(self, epoch):
        if not self.shuffle:
            return np.arange(self.num_samples)
        return np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)


class SeededSamples:
    """The samples of a data set by key (view, index); each depends on the seed and its key alone.

    `samples[view, index]` is a dict of NumPy arrays, `img` (float32) and `label` (int64). With a deferred
    `Normalize` it has `img` and `normalize` as `Compose.defer_normalize` returns them, and `label` may have
    a shorter integer type.

    Args:
        dataset: it has either `sample(index, rng)` or `__getitem__(index)`, which returns a dict with `img`
            and `label` or an (img, label) pair. NumPy's and Python's global generators are seeded for the
            call, as some transforms draw from them, and restored afterwards.
        seed: an integer >= 0.
        labeled: if false, samples have no label, and the data set may return the image alone. Default True.
        keep: further keys of the data set's samples that are passed on where they exist. Default none.
        defer_normalize: leave a last `Normalize` to `loading.load_batches`, as the device is faster at it,
            if the data set supports it. Default False.

    Raises:
        UserError: the data set returns something else.
    """

    def __init__(self, dataset, seed, labeled=True, keep=(), defer_normalize=False):
        self.dataset = dataset
        self.seed = seed
        self.labeled = labeled
        self.keep = keep
        self.defer_normalize = defer_normalize and can_defer_normalize(dataset)

    def __len__(self):
        return len(self.dataset)

    @property
    def file_list(self):
        """The files of each sample, by index; None where the data set does not list them."""
        return getattr(self.dataset, "file_list", None)

    def same_source(self, index):
        """Return the range of the indices whose samples may replace that of `index`: here all."""
        return range(len(self))

    def __getitem__(self, key):
        view, index = key
        with _seeded_globals([self.seed, view, index, _GLOBALS]):
            sample = self._sample(index, sample_rng(self.seed, view, index))
        passed_on = (*self.keep, "normalize") if self.defer_normalize else self.keep
        extra = {name: sample[name] for name in passed_on if isinstance(sample, dict) and name in sample}
        if not self.labeled:
            return {"img": self._image(_unlabeled_image(sample)), **extra}
        image, label = _image_and_label(sample, self.dataset)
        return {"img": self._image(image), "label": self._label(label), **extra}

    def _sample(self, index, rng):
        if self.defer_normalize:
            return self.dataset.sample_before_normalize(index, rng)
        if hasattr(self.dataset, "sample"):
            return self.dataset.sample(index, rng)
        return self.dataset[index]

    # Short integers are sent to the device as they are, and converted there.

    def _image(self, array):
        array = np.asarray(array)
        short = self.defer_normalize and array.dtype == np.uint8
        return array if short else array.astype(np.float32, copy=False)

    def _label(self, array):
        short = self.defer_normalize and array.dtype in (np.uint8, np.int32)
        return array if short else array.astype(np.int64, copy=False)


@contextlib.contextmanager
def _seeded_globals(entropy):
    numpy_state, python_state = np.random.get_state(), random.getstate()
    seed = int(np.random.default_rng(entropy).integers(2**32))
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _unlabeled_image(sample):
    if isinstance(sample, dict):
        return sample["img"]
    return sample[0] if isinstance(sample, (tuple, list)) else sample


def _image_and_label(sample, dataset):
    """Return (image, label), the label as an array, from a dict or a pair."""
    name = type(dataset).__name__
    if isinstance(sample, dict):
        pair, form = (sample.get("img"), sample.get("label")), f"a dict of {sorted(map(str, sample))}"
        complete = pair[0] is not None and pair[1] is not None
    else:
        pair, form = sample, f"a {type(sample).__name__}"
        complete = isinstance(sample, (tuple, list)) and len(sample) == 2
    if not complete:
        raise UserError(
            f"a sample of {name} must be a dict with 'img' and 'label', or a pair of them, not {form}"
        )
    image, label = pair[0], np.asarray(pair[1])
    if label.ndim == 3 and label.shape[0] == 1:  # so PaddleSeg's data sets return masks in an evaluation
        label = label[0]
    # A classifier's label is a single number.
    if np.ndim(image) == 3 and label.ndim not in (0, 2):
        raise UserError(
            f"the label of a sample of {name} must be H x W, one class for each pixel, not of the shape "
            f"{list(label.shape)}"
        )
    return image, label


class ReplacedSamples:
    """Samples by key (view, index), with another one in the place of each that cannot be read.

    The replacement is the same view of the first readable sample in an order drawn for (seed, view, index).
    So neither the number of workers nor a resume changes it, and no batch becomes smaller.

    In a worker process `read` alone is called. The main process passes what `read` found to `note`, which
    counts.

    Args:
        samples: `SeededSamples`, or others with keys (view, index) and `same_source`.
        seed: an integer >= 0.
        max_bad: how many different samples this process may find unreadable; 0 accepts none.
        with_keys: whether each sample also has a 'key', the (view, index) of the sample that was read in the
            end. Default False.
    """

    def __init__(self, samples, seed, max_bad, with_keys=False):
        self._samples = samples
        self._seed = seed
        self._max_bad = max_bad
        self._with_keys = with_keys
        self._bad = set()

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, key):
        sample, bad = self.read(key)
        self.note(bad)
        return sample

    def read(self, key):
        """Return (sample, {index: reason}), the latter for the samples that could not be read on the way.

        Raises:
            UserError: there are more of them than `max_bad`; or the error is not that of a single sample.
        """
        view, bad = key[0], {}
        for index in self._candidates(*key):
            try:
                sample = self._samples[view, index]
                return ({**sample, "key": (view, index)} if self._with_keys else sample), bad
            except SampleError as error:
                bad[index] = str(error)
                if len(bad) > self._max_bad:
                    break
        raise self._too_many(bad[index])

    def _candidates(self, view, index):
        yield index
        rng = np.random.default_rng([self._seed, view, index, _REPLACEMENTS])
        yield from (int(i) for i in rng.permutation(self._samples.same_source(index)) if i != index)

    def note(self, bad):
        """Count the unreadable samples, {index: reason}, and warn of each the first time.

        Raises:
            UserError: there are more than `max_bad`.
        """
        for index, reason in bad.items():
            if index in self._bad:
                continue
            self._bad.add(index)
            if len(self._bad) > self._max_bad:
                raise self._too_many(reason)
            count = f"{len(self._bad)} of max_bad_samples {self._max_bad}"
            logger.warning(f"{reason}; another sample takes its place ({count})")

    def _too_many(self, reason):
        if self._max_bad == 0:
            return UserError(f"{reason} (max_bad_samples N would replace up to N such samples)")
        return UserError(f"{reason}: more samples than max_bad_samples {self._max_bad} cannot be read")
