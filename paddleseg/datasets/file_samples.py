"""What data sets of files share: how a sample comes about, and which part of that need not be done again."""

import functools

from paddleseg.transforms import Compose
from paddleseg.transforms import functional as F
from paddleseg.transforms.compose import described


class FileSamples:
    """A data set whose samples are read from files and changed by `transforms`.

    A derived class sets `file_list` and `transforms`, a `Compose`, and defines `unread_sample`.

    Attributes:
        image_cache: an `ImageCache`, which keeps the part that is the same each time; None reads it anew.
    """

    image_cache = None

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        return self.sample(index)

    def unread_sample(self, index):
        """Return what `Compose` begins a sample with, a dict."""
        raise NotImplementedError

    def check_sample(self, data, index):
        """Raise `UserError` if something is wrong with a sample that is transformed."""

    def sample(self, index, rng=None):
        """Read and transform one sample.

        Args:
            index: 0..len - 1.
            rng: the `numpy.random.Generator` of the transforms; one seeded from NumPy's global state if None.

        Returns:
            What `Compose` returns.

        Raises:
            UserError: a file cannot be read, or what is read does not fit.
        """
        if type(self.transforms) is Compose:
            return self.transforms.finished(self._drawn(index, rng))
        data = self.transforms(self.unread_sample(index), rng)
        self.check_sample(data, index)
        return data

    def unfinished_sample(self, index, rng=None):
        """Return `sample` as `Compose.unfinished` leaves it; only where `leaves_end` says so."""
        return self.transforms.unfinished(self._drawn(index, rng))

    def _drawn(self, index, rng):
        rng = F.as_rng(rng)
        where = described(dict(zip(("img", "label"), self.file_list[index])))
        data, start = self._led(index, where)
        data = self.transforms.drawn(data, where, rng, start)
        self.check_sample(data, index)
        return data

    def _led(self, index, where):
        read = functools.partial(self._read, index, where)
        if self.image_cache is None:
            return self.transforms.led(read(), where), None
        return self.image_cache.led(index, read, where)

    def _read(self, index, where):
        return self.transforms.read(self.unread_sample(index), where)


def leaves_end(dataset):
    """Tell whether a data set has samples whose last step, `Normalize`, may be left to the device."""
    sample = getattr(type(dataset), "sample", None)
    if sample is not FileSamples.sample or type(dataset.transforms) is not Compose:
        return False
    return dataset.transforms.normalize is not None
