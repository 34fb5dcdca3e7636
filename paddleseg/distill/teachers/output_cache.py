"""The cache of a teacher's outputs, with which a teacher runs once for each view of each sample.

A view is one of the augmentations of a sample; see `datasets.sampling`.
"""

import zlib

import numpy as np
import paddle

from paddleseg.datasets.loading import stack
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger


class OutputCache:
    """The outputs of a teacher at the head's resolution, stored in files and read from there later.

    A row holds the outputs for one view of one sample; its number is index * views + view. A row serves only
    the image that it was computed from, which its checksum identifies. So a changed file, or a transform
    that draws from something other than its seed, never brings the outputs of another image to the student.
    If any row of a batch is missing, the teacher runs on the whole batch, as without a cache: the last digits
    depend on which images are computed together. All outputs, computed or read, are rounded to the files'
    dtype. So a resumed training, which reads what the first one computed, ends with the same weights.

    Args:
        files: `CacheFiles` with the logits that are cached, followed by the taps.
        views: how many views a sample has.
        taps: keys of the tensors that are cached.

    Attributes:
        files: the same.
        hits, lookups: how many rows were read, and how many were looked up.
    """

    def __init__(self, files, views, taps):
        self.files = files
        self._views = views
        self._taps = list(taps)
        self._num_logits = len(files.names) - len(self._taps)
        self._warned = False
        self.hits = self.lookups = 0

    def __call__(self, images, keys, compute):
        """Return (list of logits at the head's resolution, {name or `Tap`: tensor}), float32.

        Args:
            images: N x 3 x H x W.
            keys: [view, index, `image_checksum`] of each image, on the host.
            compute: the teacher's engine, for batches with a missing row.
        """
        outputs = self.files.empty_rows(len(keys))
        into = [{name: array[i] for name, array in outputs.items()} for i in range(len(keys))]
        # (row, image id) of each image, the arguments by which the files know a row.
        rows = [(index * self._views + view, image_id) for view, index, image_id in keys]
        missing = [i for i, row in enumerate(rows) if not self.files.read(*row, into[i])]
        self.lookups += len(keys)
        self.hits += len(keys) - len(missing)
        if self.files.mismatches and not self._warned:
            self._warned = True
            logger.warning(
                f"{self.files.folder}: a stored row belongs to another image and is computed again; "
                f"unless image files have changed, a transform draws random numbers that no seed decides"
            )
        if missing:
            computed = self._computed(images, compute)
            for i in missing:
                arrays = {name: array[i] for name, array in computed.items()}
                self._store(*rows[i], arrays, into[i])
        tensors = [paddle.to_tensor(array).astype("float32") for array in outputs.values()]
        return tensors[: self._num_logits], dict(zip(self._taps, tensors[self._num_logits :]))

    def check(self, outputs, keys):
        """Raise `UserError` if a stored row differs from what the teacher gives now.

        Args:
            outputs: {name: array N x ...} of the cached tensors.
            keys: as in `__call__`.
        """
        for i, (view, index, image_id) in enumerate(keys):
            stored = {name: array[0] for name, array in self.files.empty_rows(1).items()}
            if not self.files.read(index * self._views + view, image_id, stored):
                continue
            for name, row in stored.items():
                now = outputs[name][i]
                if not np.allclose(row, now, rtol=1e-2, atol=1e-2 * np.abs(now).max()):
                    raise UserError(
                        f"teacher_cache: {self.files.folder} holds other {name} than the teacher gives now; "
                        f"was its code changed? Remove the folder, and a new cache is filled"
                    )

    def _computed(self, images, compute):
        """Return {name: array N x ...} of the cached tensors, computed in float32 under any precision."""
        with paddle.amp.auto_cast(enable=False):
            logits, taps = compute(images)
        tensors = [*logits[: self._num_logits], *(taps[key] for key in self._taps)]
        return {name: tensor.numpy() for name, tensor in zip(self.files.names, tensors)}

    def _store(self, row, image_id, arrays, into):
        """Store a row in the files' dtype, and leave it in `into`."""
        # Another process may have stored it meanwhile, with other last digits.
        if self.files.read(row, image_id, into):
            return
        for name, array in arrays.items():
            _copy_rounded(name, array, into[name])
        self.files.write(row, image_id, into)


def _copy_rounded(name, array, into):
    """Copy an array into `into`, which has the files' dtype."""
    if array.shape != into.shape:
        raise UserError(
            f"teacher_cache: {name} of this image is {list(array.shape)}, of the first {list(into.shape)}; "
            f"images must have one size, as a transform such as RandomPaddingCrop or Resize gives them"
        )
    with np.errstate(over="ignore"):
        into[...] = array
    if not np.isfinite(into).all() and np.isfinite(array).all():
        raise UserError(
            f"teacher_cache: {name} holds {np.abs(array).max():.4g}, which {into.dtype} cannot represent; "
            f"set cache_dtype to float32"
        )


def image_checksum(image):
    """Return the CRC-32 of an image, an array, and of its shape."""
    return zlib.crc32(np.ascontiguousarray(image), zlib.crc32(repr(image.shape).encode()))


def stack_with_keys(samples):
    """Return samples as `loading.stack` does, with 'keys': [view, index, checksum of the image] of each.

    Args:
        samples: dicts with 'img' and, as 'key', (view, index).
    """
    keys = [[*sample["key"], image_checksum(sample["img"])] for sample in samples]
    rest = [{name: value for name, value in sample.items() if name != "key"} for sample in samples]
    return {**stack(rest), "keys": keys}


class CacheRecord:
    """Counts how many outputs the teachers of a process read from their caches.

    Args:
        caches: the `OutputCache`s of the teachers.
        dtype: the dtype of the stored numbers.

    Attributes:
        dtype: the same.
    """

    def __init__(self, caches, dtype):
        self.dtype = dtype
        self._caches = caches
        self._at_last_call = (0, 0)

    def take_hit_rate(self):
        """Return the share, 0 to 1, of lookups that were hits, and start counting again; None without any."""
        before, self._at_last_call = self._at_last_call, self._sums()
        hits, lookups = (now - then for now, then in zip(self._at_last_call, before))
        return hits / lookups if lookups else None

    def log_total(self):
        """Log the share of the whole run."""
        hits, lookups = self._sums()
        if not lookups:
            return
        rest = "" if hits == lookups else "; the batches of the others were computed"
        logger.info(f"teacher cache: {hits} of {lookups} rows ({hits / lookups:.1%}) were read{rest}")

    def _sums(self):
        """Return (hits, lookups) of all caches since the start of the run."""
        return sum(cache.hits for cache in self._caches), sum(cache.lookups for cache in self._caches)
