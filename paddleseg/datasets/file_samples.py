"""Samples that are read from files and transformed, the base of all data sets here."""

import functools

from paddleseg.transforms import Compose
from paddleseg.transforms import functional as F
from paddleseg.transforms.compose import describe_files


class FileSamples:
    """A data set whose samples are read from files and changed by `transforms`.

    A derived class sets `file_list` and `transforms`, a `Compose`, and defines `unread_sample`.

    Attributes:
        image_cache: an `ImageCache`, which stores each sample as the leading transforms leave it; None reads
            the files each time.
    """

    image_cache = None

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        return self.sample(index)

    def unread_sample(self, index):
        """Return the dict that `Compose` begins a sample with."""
        raise NotImplementedError

    def check_sample(self, data, index):
        """Raise `UserError` if something is wrong with a transformed sample."""

    def sample(self, index, rng=None):
        """Read and transform one sample.

        Args:
            index: 0..len - 1.
            rng: the `numpy.random.Generator` of the transforms; None seeds one from NumPy's global state.

        Returns:
            What `Compose` returns.

        Raises:
            UserError: a file cannot be read, or what is read does not fit.
        """
        if type(self.transforms) is Compose:
            return self.transforms.finish(self._transformed(index, rng))
        data = self.transforms(self.unread_sample(index), rng)
        self.check_sample(data, index)
        return data

    def sample_before_normalize(self, index, rng=None):
        """Return `sample` as `Compose.defer_normalize` leaves it; only if `can_defer_normalize`."""
        return self.transforms.defer_normalize(self._transformed(index, rng))

    def _transformed(self, index, rng):
        rng = F.as_rng(rng)
        where = describe_files(dict(zip(("img", "label"), self.file_list[index])))
        read = functools.partial(self._read, index, where)
        if self.image_cache is None:
            data, start = self.transforms.apply_leading(read(), where), None
        else:
            data, start = self.image_cache.load(index, read, where)
        data = self.transforms.apply_rest(data, where, rng, start)
        self.check_sample(data, index)
        return data

    def _read(self, index, where):
        return self.transforms.read(self.unread_sample(index), where)


def reads_by_default(dataset):
    """Tell whether a data set reads samples by `FileSamples` and `Compose` alone, none of them overridden."""
    read = getattr(type(dataset), "sample", None)
    return read is FileSamples.sample and type(dataset.transforms) is Compose


def can_defer_normalize(dataset):
    """Tell whether a data set can leave its last transform, `Normalize`, to the device."""
    return reads_by_default(dataset) and dataset.transforms.normalize is not None
