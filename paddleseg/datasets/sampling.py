"""Order and randomness of training samples as pure functions of (seed, epoch, sample index).

Of a sample that has `views`, an epoch shows one, view = epoch mod views, whose randomness is a function of
(seed, view, sample index). Without, every epoch is a view of its own. The order is one of (seed, epoch).

Nothing here has a state to save: a training resumes at any iteration without replaying those before,
and the number of workers changes nothing.
"""

import contextlib
import random

import numpy as np

from paddleseg.datasets.file_samples import leaves_end
from paddleseg.errors import SampleError, UserError
from paddleseg.utils.logger import logger

# `default_rng([a, b])` and `default_rng([a, b, 0])` are the same stream, so what is drawn for a sample
# carries a fourth number that keeps it apart from the order of the epoch.
_TRANSFORMS, _GLOBALS, _REPLACEMENTS = 1, 2, 3


def sample_rng(seed, view, index):
    """Return the `numpy.random.Generator` of one view of one sample; all three are integers >= 0."""
    return np.random.default_rng([seed, view, index, _TRANSFORMS])


class EpochBatches:
    """The batches of one rank, from iteration `start_iter` to the last: a batch sampler.

    Each epoch is a new order of all samples; the rest that fills no batch of every rank is dropped. Rank r
    takes its part, in order, from each batch of batch_size * nranks samples, so that 2 ranks of 2 see
    together what 1 rank of 4 sees.

    Args:
        num_samples: the length of the data set.
        batch_size: samples a batch and rank.
        iters: the last iteration is iters - 1.
        seed: an integer >= 0; the order of an epoch is the permutation of `default_rng([seed, epoch])`.
        rank, nranks: which process this is, of how many.
        start_iter: the first iteration.
        shuffle: if false, every epoch has the order of the data set.
        name: what messages call the data set.
        views: how many views a sample has; None for a new one in every epoch.

    Yields:
        For every iteration a list of `batch_size` keys (view, index).

    Attributes:
        iters_per_epoch: num_samples // (batch_size * nranks).

    Raises:
        UserError: there are fewer samples than one batch of all ranks needs.
    """

    def __init__(
        self,
        num_samples,
        batch_size,
        iters,
        seed,
        rank=0,
        nranks=1,
        start_iter=0,
        shuffle=True,
        name="the training set",
        views=None,
    ):
        self.global_batch = batch_size * nranks
        if num_samples < self.global_batch:
            raise UserError(
                f"{name} has {num_samples} samples, fewer than one batch needs: batch_size "
                f"{batch_size} x {nranks} processes = {self.global_batch}; lower batch_size"
            )
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.iters = iters
        self.seed = seed
        self.rank = rank
        self.start_iter = start_iter
        self.shuffle = shuffle
        self.views = views
        self.iters_per_epoch = num_samples // self.global_batch

    def __len__(self):
        return max(self.iters - self.start_iter, 0)

    def _order(self, epoch):
        if not self.shuffle:
            return np.arange(self.num_samples)
        return np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)

    def __iter__(self):
        order, order_of = None, None
        for iteration in range(self.start_iter, self.iters):
            epoch, batch = divmod(iteration, self.iters_per_epoch)
            if epoch != order_of:
                order, order_of = self._order(epoch), epoch
            first = batch * self.global_batch + self.rank * self.batch_size
            view = epoch if self.views is None else epoch % self.views
            yield [(view, int(index)) for index in order[first : first + self.batch_size]]


class SeededSamples:
    """A data set by keys (view, index), whose samples depend on `seed` and the key alone.

    Args:
        dataset: one with `sample(index, rng)`, or any that is indexed and gives a dict with `img` and
            `label` or an (img, label) pair. NumPy's and Python's global generators are seeded around
            the call, for transforms that draw from them, and put back afterwards.
        seed: an integer >= 0.
        labeled: if false, no label is asked for nor handed on; the data set may also give the image alone.
        keep: further keys of a sample that are handed on as they are, where it has them.
        unfinished: leave to `loading.load_batches` what the device does faster, where the data set can.

    `samples[view, index]` is a dict of `img` (float32) and `label` (int64), arrays of NumPy's; unfinished, of
    `img` and `normalize` as `Compose.unfinished` gives them, and `label` of integers.

    Raises:
        UserError: the data set gives anything else.
    """

    def __init__(self, dataset, seed, labeled=True, keep=(), unfinished=False):
        self.dataset = dataset
        self.seed = seed
        self.labeled = labeled
        self.keep = keep
        self._unfinished = unfinished and leaves_end(dataset)

    def __len__(self):
        return len(self.dataset)

    @property
    def file_list(self):
        """The files that the samples are read from, by index; None where the data set does not tell."""
        return getattr(self.dataset, "file_list", None)

    def alike(self, index):
        """Return the indices, a range, of the samples that may stand in for one another."""
        return range(len(self))

    def __getitem__(self, key):
        view, index = key
        with _seeded_globals([self.seed, view, index, _GLOBALS]):
            if self._unfinished:
                sample = self.dataset.unfinished_sample(index, sample_rng(self.seed, view, index))
            elif hasattr(self.dataset, "sample"):
                sample = self.dataset.sample(index, sample_rng(self.seed, view, index))
            else:
                sample = self.dataset[index]
        left = {"normalize": sample["normalize"]} if self._unfinished else {}
        if not self.labeled:
            return {"img": self._as(np.float32, _image(sample), np.uint8), **left}
        image, label = _image_and_label(sample, self.dataset)
        kept = {name: sample[name] for name in self.keep if isinstance(sample, dict) and name in sample}
        image = self._as(np.float32, image, np.uint8)
        return {"img": image, "label": self._as(np.int64, label, np.uint8, np.int32), **kept, **left}

    def _as(self, dtype, array, *unfinished):
        """Return an array as `dtype`; of those that are left to the device, others may stay what they are."""
        array = np.asarray(array)
        return array if self._unfinished and array.dtype in unfinished else array.astype(dtype, copy=False)


def _image(sample):
    if isinstance(sample, dict):
        return sample["img"]
    return sample[0] if isinstance(sample, (tuple, list)) else sample


class ReplacedSamples:
    """Samples of which one that cannot be read gives way to another.

    What takes its place is that view of the first readable sample in an order drawn for (seed, view, index),
    which is a function of these and of the files alone: neither the number of workers nor a resume changes
    it, and no batch becomes smaller.

    Args:
        samples: `SeededSamples`, or others with keys (view, index) and an `alike`.
        seed: an integer >= 0.
        most: how many different samples of this process may be unreadable; 0 accepts none.
        with_keys: whether each sample also has its own 'key', (view, index): that of what took its place.

    `replaced[view, index]` is a sample. In a worker, `read` alone is called, and what it tells is handed to
    `note` in the main process, which counts.
    """

    def __init__(self, samples, seed, most, with_keys=False):
        self._samples = samples
        self._seed = seed
        self._most = most
        self._with_keys = with_keys
        self._bad = set()

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, key):
        sample, bad = self.read(key)
        self.note(bad)
        return sample

    def read(self, key):
        """Return (sample, {index: why}), the latter of those that could not be read on the way.

        Raises:
            UserError: more of them than are accepted; or what is wrong is no matter of a single sample.
        """
        view, bad = key[0], {}
        for index in self._candidates(*key):
            try:
                sample = self._samples[view, index]
                return ({**sample, "key": (view, index)} if self._with_keys else sample), bad
            except SampleError as error:
                bad[index] = str(error)
                if len(bad) > self._most:
                    break
        raise self._too_many(bad[index])

    def note(self, bad):
        """Warn of each sample that is bad for the first time, and count it.

        Raises:
            UserError: they are more than are accepted.
        """
        for index, why in bad.items():
            if index in self._bad:
                continue
            self._bad.add(index)
            if len(self._bad) > self._most:
                raise self._too_many(why)
            logger.warning(
                f"{why}; another sample takes its place ({len(self._bad)} of --max_bad_samples {self._most})"
            )

    def _candidates(self, view, index):
        yield index
        rng = np.random.default_rng([self._seed, view, index, _REPLACEMENTS])
        yield from (int(i) for i in rng.permutation(self._samples.alike(index)) if i != index)

    def _too_many(self, why):
        if self._most == 0:
            return UserError(f"{why} (--max_bad_samples N goes on without up to N such samples)")
        return UserError(
            f"{why}: the samples that cannot be read are more than --max_bad_samples {self._most}"
        )


def _image_and_label(sample, dataset):
    if isinstance(sample, dict) and sample.get("img") is not None and sample.get("label") is not None:
        return sample["img"], _label(sample["label"], sample["img"], dataset)
    if isinstance(sample, (tuple, list)) and len(sample) == 2:
        return sample[0], _label(sample[1], sample[0], dataset)
    got = (
        f"a dict of {sorted(map(str, sample))}" if isinstance(sample, dict) else f"a {type(sample).__name__}"
    )
    raise UserError(
        f"a sample of {type(dataset).__name__} must be a dict with 'img' and 'label', or a pair of them, "
        f"not {got}"
    )


def _label(label, image, dataset):
    """Return a label as an array: H x W for an image of C x H x W; a single number is one, too."""
    label = np.asarray(label)
    # PaddleSeg's data sets give masks so in evaluation.
    if label.ndim == 3 and label.shape[0] == 1:
        label = label[0]
    if np.ndim(image) == 3 and label.ndim not in (0, 2):
        raise UserError(
            f"the label of a sample of {type(dataset).__name__} must be H x W, one class for each pixel, not "
            f"of the shape {list(label.shape)}"
        )
    return label


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
