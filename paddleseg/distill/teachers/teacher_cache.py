"""A distillation whose teachers are asked once for each view of each sample."""

import hashlib
import json
import os
import shutil

import paddle

from paddleseg import parallel
from paddleseg.datasets.loading import stack
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.distill.teachers.cache_identity import about_data, about_teacher, about_tensors
from paddleseg.distill.teachers.cached_teacher import CachedTeacher, image_checksum
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import format_size

# Changes with what a row is, so that folders of an earlier form are not read.
_FORM = 1
_TRIED = 8


def stack_with_keys(samples):
    """Return samples as `loading.stack` does, and as 'keys' the [view, index, checksum of the image] of each.

    Args:
        samples: dicts with 'img' and, as 'key', (view, index).
    """
    keys = [[*sample["key"], image_checksum(sample["img"])] for sample in samples]
    rest = [{name: value for name, value in sample.items() if name != "key"} for sample in samples]
    return {**stack(rest), "keys": keys}


class CacheRecord:
    """How often the teachers of a process were spared.

    Args:
        teachers: list of `CachedTeacher`.
        dtype: of the numbers that are kept.
    """

    def __init__(self, teachers, dtype):
        self.dtype = dtype
        self._teachers = teachers
        self._told = (0, 0)

    def share_of_hits(self):
        """Return which part, 0 to 1, of the rows wanted since the last call was there; None if none was."""
        hits, asked = self._sums()
        new = hits - self._told[0], asked - self._told[1]
        self._told = hits, asked
        return new[0] / new[1] if new[1] else None

    def log_total(self):
        """Log it for the whole run."""
        hits, asked = self._sums()
        if not asked:
            return
        rest = "" if hits == asked else ", the others computed, and with them the rest of their batches"
        logger.info(f"teacher cache: {hits} of {asked} rows ({hits / asked:.1%}) were read{rest}")

    def _sums(self):
        return sum(t.hits for t in self._teachers), sum(t.asked for t in self._teachers)


def attach(step, builder, plan, options):
    """Let the teachers of a step keep their outputs, each in a folder of its own below --teacher_cache.

    Args:
        step: a `DistillStep`; its teachers are replaced, and its `cache` is set.
        builder: the student's `SegBuilder`.
        plan: the `Plan`.
        options: `DistillOptions`.

    Raises:
        UserError: images of several sizes, outputs that depend on the other images of a batch, a folder that
            cannot be used, or too little room.
    """
    identity = step.identity()
    batches, samples = _drawn(builder, options)
    seen = _some_samples(builder, samples, options)
    about = {
        "what": "outputs of a teacher for views of training images; row = number of the image * views + view",
        "form": _FORM,
        "views": options.cache_views,
        "seed": options.seed,
        "data": about_data(builder),
        "dtype": options.cache_dtype,
    }
    num_logits = 0 if builder.distill_loss is None else len(builder.distill_loss["types"])
    cached = []
    for k, teacher in enumerate(step.teachers):
        taps = list(dict.fromkeys(f.teacher for f in plan.features if f.teacher_index == k))
        if num_logits or taps:
            of = {**about, "teacher": about_teacher(k, identity, taps)}
            cached.append(_cached(teacher, of, seen, num_logits, taps, len(samples), options.teacher_cache))
            step.teachers[k] = cached[-1]
    if not cached:
        return  # nobody asks a teacher
    step.cache = CacheRecord(cached, options.cache_dtype)
    iters = builder.cfg.iters
    per_iteration = builder.cfg.batch_size * options.accumulate_steps * parallel.num_ranks()
    _check_room(options.teacher_cache, [teacher.files for teacher in cached], iters * per_iteration)
    if iters <= options.cache_views * batches.iters_per_epoch:
        lower = "; a lower --cache_views would use it now" if options.cache_views > 1 else ""
        logger.warning(
            f"--teacher_cache: {iters} iterations show no view twice ({_told_views(options.cache_views)}), "
            f"so what is kept serves later trainings alone{lower}"
        )


def _told_views(views):
    return "1 view of each image" if views == 1 else f"{views} views of each image"


def _drawn(builder, options):
    """Return the batch sampler and the samples of the training; see `mixed`."""
    return mixed(
        builder.train_dataset,
        builder.unlabeled_dataset,
        builder.cfg.batch_size,
        builder.cfg.unlabeled_per_batch,
        builder.cfg.iters,
        options.seed,
        parallel.rank(),
        parallel.num_ranks(),
        parts=options.accumulate_steps,
        views=options.cache_views,
    )


def _some_samples(builder, samples, options):
    """Return a batch of training images, with their keys, after a look at the sizes of some more."""
    # How many may be unreadable, the training judges.
    readable = ReplacedSamples(samples, options.seed, len(samples), with_keys=True)
    count = max(_TRIED, builder.cfg.batch_size)
    keys = [(i % options.cache_views, i * len(samples) // count) for i in range(count)]
    read = [readable.read(key)[0] for key in keys]
    shapes = sorted({sample["img"].shape for sample in read})
    if len(shapes) > 1:
        raise UserError(
            f"{builder.cfg.place('train_dataset', 'transforms')}: they give images of several sizes, such as "
            f"{_size(shapes[0])} and {_size(shapes[1])}, and --teacher_cache keeps rows of one size; add one "
            f"that gives a fixed size, such as RandomPaddingCrop or Resize"
        )
    images = [{"img": sample["img"], "key": sample["key"]} for sample in read[: builder.cfg.batch_size]]
    return stack_with_keys(images)


def _size(shape):
    return " x ".join(map(str, shape[-2:]))


def _cached(teacher, about, seen, num_logits, taps, num_samples, parent):
    """Return a `CachedTeacher`, its folder called by the hash of what its rows are; log what it holds."""
    tensors, answers = about_tensors(teacher, paddle.to_tensor(seen["img"]), num_logits, taps)
    about = {**about, "tensors": tensors}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    layout = {name: (tensor["shape"], about["dtype"]) for name, tensor in tensors.items()}
    files = CacheFiles(os.path.join(parent, name), about, num_samples * about["views"], layout)
    logger.info(
        f"teacher cache {files.folder}: {format_size(files.size)} when full, of {files.num_rows} rows "
        f"({_told_views(about['views'])}) of {format_size(files.row_bytes)} in {about['dtype']}; "
        f"{files.filled()} rows are there"
    )
    cached = CachedTeacher(teacher, files, about["views"], num_logits, taps)
    cached.check(answers, seen["keys"])
    return cached


def _check_room(folder, all_files, most_rows):
    """Raise `UserError` unless the disk can take what is missing, of which a run adds `most_rows` at most."""
    needed = sum(min(f.num_rows - f.filled(), most_rows) * f.row_bytes for f in all_files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"--teacher_cache {folder}: {format_size(needed)} are to be written, and {format_size(free)} are "
            f"free; make room, name a folder on another disk, or lower --cache_views"
        )
