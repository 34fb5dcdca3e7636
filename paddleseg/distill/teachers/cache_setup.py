"""The set-up of the teachers' caches before a distillation."""

import hashlib
import json
import os
import shutil

import paddle

from paddleseg import parallel
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.distill.teachers.cache_identity import data_identity, describe_tensors, teacher_identity
from paddleseg.distill.teachers.output_cache import CacheRecord, OutputCache, stack_with_keys
from paddleseg.errors import UserError, counted
from paddleseg.losses.combine import num_compared
from paddleseg.utils.logger import logger
from paddleseg.utils.sizes import format_size

# The version of the rows' form; raise it with each change, so that folders of an earlier form are not read.
_FORM = 1
# How many samples are read to see whether all have one size.
_TRIED = 8


def attach_caches(step, builder, features, options):
    """Let the teachers of a step cache their outputs, each in a folder of its own below `teacher_cache`.

    Args:
        step: a `DistillStep`; its `cache` is set, and that of its teachers.
        builder: the student's `SegBuilder`.
        features: list of `Feature`.
        options: `DistillOptions`.

    Raises:
        UserError: images of several sizes, outputs that depend on the other images of a batch, a folder that
            cannot be used, or too little free space.
    """
    distill_file_digest = step.identity().get("--distill_config (SHA-256)")
    batches, samples = _training_samples(builder, options)
    batch = _first_batch(builder, samples, options)
    # These words are part of the folders' names: other words would start new caches.
    description = {
        "what": "outputs of a teacher for views of training images; row = number of the image * views + view",
        "form": _FORM,
        "views": options.cache_views,
        "seed": options.seed,
        "data": data_identity(builder),
        "dtype": options.cache_dtype,
    }
    num_logits = 0 if builder.distill_loss is None else num_compared(builder.distill_loss)
    caches = []
    for k, teacher in enumerate(step.teachers):
        taps = list(dict.fromkeys(f.teacher for f in features if f.teacher_index == k))
        num_own_logits = num_logits if teacher.gives_logits else 0
        if num_own_logits or taps:
            own = {**description, "teacher": teacher_identity(teacher, taps, distill_file_digest)}
            teacher.cache = _open_cache(
                teacher, own, batch, num_own_logits, taps, len(samples), options.teacher_cache
            )
            caches.append(teacher.cache)
    if not caches:
        return  # no loss compares any output of a teacher
    step.cache = CacheRecord(caches, options.cache_dtype)
    iters = builder.cfg.iters
    per_iteration = builder.cfg.batch_size * options.accumulate_steps * parallel.num_ranks()
    _check_space(options.teacher_cache, [cache.files for cache in caches], iters * per_iteration)
    if iters <= options.cache_views * batches.iters_per_epoch:
        remedy = "; a lower cache_views would use it in this one" if options.cache_views > 1 else ""
        logger.warning(
            f"teacher_cache: {iters} iterations show no view twice ({_views(options.cache_views)}), so only "
            f"later trainings use the cache{remedy}"
        )


def _views(views):
    return f"{counted(views, 'view')} of each image"


def _training_samples(builder, options):
    """Return the batch sampler and the samples of the training; see `mixed`."""
    return mixed(
        builder.train_dataset if builder.cfg.has_labels else None,
        builder.unlabeled_dataset,
        builder.cfg.batch_size,
        builder.cfg.unlabeled_per_batch,
        builder.cfg.iters,
        options.seed,
        parallel.rank(),
        parallel.num_ranks(),
        micro_batches=options.accumulate_steps,
        views=options.cache_views,
    )


def _first_batch(builder, samples, options):
    """Return a batch of training images with their keys, after a check that some more have the same size."""
    # The training itself limits how many samples may be unreadable, so here any number is replaced.
    readable = ReplacedSamples(samples, options.seed, len(samples), with_keys=True)
    count = max(_TRIED, builder.cfg.batch_size)
    keys = [(i % options.cache_views, i * len(samples) // count) for i in range(count)]
    read = [sample for sample, _ in map(readable.read, keys)]
    sizes = sorted({sample["img"].shape for sample in read})
    if len(sizes) > 1:
        first, second = (" x ".join(map(str, size[-2:])) for size in sizes[:2])
        place = builder.cfg.place(builder.cfg.training_sections[0], "transforms")
        raise UserError(
            f"{place}: they give images of several sizes, such as "
            f"{first} and {second}, and teacher_cache needs one size; add a transform that gives one, such "
            f"as RandomPaddingCrop or Resize"
        )
    images = [{"img": sample["img"], "key": sample["key"]} for sample in read[: builder.cfg.batch_size]]
    return stack_with_keys(images)


def _open_cache(teacher, description, batch, num_logits, taps, num_samples, parent):
    """Open or create the `OutputCache` of a teacher, in a folder named by a hash of the rows' description."""
    tensors, outputs = describe_tensors(teacher, paddle.to_tensor(batch["img"]), num_logits, taps)
    description = {**description, "tensors": tensors}
    name = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    views, dtype = description["views"], description["dtype"]
    layout = {name: (tensor["shape"], dtype) for name, tensor in tensors.items()}
    files = CacheFiles(os.path.join(parent, name), description, num_samples * views, layout)
    logger.info(
        f"teacher cache {files.folder}: {format_size(files.size)} when full, {files.num_rows} rows "
        f"({_views(views)}) of {format_size(files.row_bytes)} in {dtype}; "
        f"{files.num_filled()} rows are stored"
    )
    cache = OutputCache(files, views, taps)
    cache.check(outputs, batch["keys"])
    return cache


def _check_space(folder, all_files, most_rows):
    """Raise `UserError` unless the disk has room for missing rows; a run adds at most `most_rows`."""
    needed = sum(min(f.num_rows - f.num_filled(), most_rows) * f.row_bytes for f in all_files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"teacher_cache {folder}: {format_size(needed)} are to be written, and {format_size(free)} are "
            f"free; make room, name a folder on another disk, or lower cache_views"
        )
