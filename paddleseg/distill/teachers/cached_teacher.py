"""A teacher who is asked once for each view of each sample."""

import zlib

import numpy as np
import paddle

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger


class CachedTeacher:
    """A `Teacher` whose answers at the head's resolution are kept in files, and read from them from then on.

    A row is a view of a sample, number index * views + view. It serves only the very image that it was
    computed of, told by its checksum, so that neither a file that was changed nor a transform that draws
    otherwise than it should can bring another image's answers to the student. If any row of a batch is
    missing, the teacher is run on the whole batch, as it is without a cache, since its last digits depend on
    what is computed together. What is returned has gone through the files' dtype in any case, so that a
    training that is resumed, and reads, comes to the same as one that went through, and computed.

    Args:
        teacher: the `Teacher`.
        files: `CacheFiles`, whose tensors are called as `tensor_names` says.
        views: how many views a sample has.
        num_logits: how many of the teacher's outputs are kept, from the first.
        taps: keys of the tensors that are kept.

    Attributes:
        model: the teacher's.
        files: the same.
        hits, asked: rows that were read, of all that were wanted.
    """

    def __init__(self, teacher, files, views, num_logits, taps):
        self._teacher = teacher
        self.model = teacher.model
        self.files = files
        self._views = views
        self._num_logits = num_logits
        self._taps = list(taps)
        self._names = tensor_names(num_logits, len(self._taps))
        self._warned = False
        self.hits = self.asked = 0

    def __call__(self, images):
        """Return what the teacher himself says; see `Teacher`."""
        return self._teacher(images)

    def upsampled(self, logits, size):
        """Return the logits at the size of the images; see `Teacher.upsampled`."""
        return self._teacher.upsampled(logits, size)

    def identity(self):
        """Return what decides this teacher's answers, cached or not."""
        return self._teacher.identity()

    def run_record(self):
        """Return what `run.yml` says of this teacher."""
        return self._teacher.run_record()

    @paddle.no_grad()
    def at_head(self, images, keys=None):
        """Return (list of logits at the head's resolution, {name or `Tap`: tensor}), float32.

        Args:
            images: N x 3 x H x W.
            keys: [view, index, `image_checksum`] of each of the images; None asks the teacher himself.
        """
        if keys is None:
            return self._teacher.at_head(images)
        answers = self.files.empty(len(keys))
        rows = [index * self._views + view for view, index, _ in keys]
        into = [{name: array[i] for name, array in answers.items()} for i in range(len(keys))]
        missing = [i for i, key in enumerate(keys) if not self.files.read(rows[i], key[2], into[i])]
        self.asked += len(keys)
        self.hits += len(keys) - len(missing)
        if self.files.mistaken and not self._warned:
            self._warned = True
            logger.warning(
                f"{self.files.folder}: a row is of another image than this one of its number, and is "
                f"computed anew; unless image files have changed, a transform draws what no seed decides"
            )
        if missing:
            self._compute(images, [(i, rows[i], keys[i][2], into[i]) for i in missing])
        tensors = [paddle.to_tensor(answers[name]).astype("float32") for name in self._names]
        return tensors[: self._num_logits], dict(zip(self._taps, tensors[self._num_logits :]))

    def check(self, answers, keys):
        """Raise `UserError` where a row is not what the teacher answers now.

        Args:
            answers: {name: array N x ...} of the tensors that are kept.
            keys: as in `at_head`.
        """
        for i, (view, index, of) in enumerate(keys):
            kept = {name: array[0] for name, array in self.files.empty(1).items()}
            if not self.files.read(index * self._views + view, of, kept):
                continue
            for name, row in kept.items():
                now = answers[name][i]
                if not np.allclose(row, now, rtol=1e-2, atol=1e-2 * np.abs(now).max()):
                    raise UserError(
                        f"--teacher_cache: {self.files.folder} holds other {name} than the teacher gives "
                        f"now; was its code changed? Remove the folder, and it is filled anew"
                    )

    def _compute(self, images, missing):
        # At full precision under any: what is kept serves later trainings, too.
        with paddle.amp.auto_cast(enable=False):
            logits, taps = self._teacher.at_head(images)
        computed = [*logits[: self._num_logits], *(taps[key] for key in self._taps)]
        arrays = {name: tensor.numpy() for name, tensor in zip(self._names, computed)}
        for i, row, of, into in missing:
            # Another process may have written it meanwhile, with other last digits.
            if self.files.read(row, of, into):
                continue
            for name, array in arrays.items():
                self._round(name, array[i], into[name])
            self.files.write(row, of, into)

    def _round(self, name, array, into):
        if array.shape != into.shape:
            raise UserError(
                f"--teacher_cache: {name} of this image is {list(array.shape)}, of the first "
                f"{list(into.shape)}; images must have one size, as a transform such as RandomPaddingCrop or "
                f"Resize gives them"
            )
        with np.errstate(over="ignore"):
            into[...] = array
        if not np.isfinite(into).all() and np.isfinite(array).all():
            raise UserError(
                f"--teacher_cache: {name} holds {np.abs(array).max():.4g}, which is no number of "
                f"{into.dtype}; keep it with --cache_dtype float32"
            )


def tensor_names(num_logits, num_taps):
    """Return what the files of a teacher's tensors are called, the logits first."""
    return [*(f"logits_{i}" for i in range(num_logits)), *(f"tap_{i}" for i in range(num_taps))]


def image_checksum(image):
    """Return the CRC-32 of an image, an array, and of its shape."""
    return zlib.crc32(np.ascontiguousarray(image), zlib.crc32(repr(image.shape).encode()))
