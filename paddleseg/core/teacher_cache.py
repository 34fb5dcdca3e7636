"""A distillation whose teachers are asked once for each view of each sample."""

import hashlib
import json
import os
import shutil

import numpy as np
import paddle

from paddleseg.core import parallel
from paddleseg.core.loading import stack
from paddleseg.core.resume import digest, flattened
from paddleseg.cvlibs.check_distill import num_unlabeled
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.distill.cache_files import CacheFiles, told_size
from paddleseg.distill.cached_teacher import CachedTeacher, image_checksum, tensor_names
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

# Changes with what a row is, so that folders of an earlier form are not read.
_FORM = 1
_PATHS = ("dataset_root", "train_path", "val_path", "test_path", "image_list")
_TRIED = 8


def check_flags(args):
    """Raise `UserError` where the flags ask for a cache of views that never come again."""
    if args.teacher_cache and not args.cache_views:
        raise UserError(
            "--teacher_cache needs --cache_views K: without, each epoch augments an image anew, and nothing "
            "that is kept of it could be used again"
        )


def decided_by(args):
    """Return what of the flags decides the outcome, for `resume.outcome`."""
    return {"--teacher_cache: dtype": args.cache_dtype if args.teacher_cache else None}


def stack_with_keys(samples):
    """Return samples as `loading.stack` does, and as 'keys' the [view, index, checksum of the image] of each.

    Args:
        samples: dicts with 'img' and, as 'key', a (view, index).
    """
    keys = [[*sample["key"], image_checksum(sample["img"])] for sample in samples]
    rest = [{name: value for name, value in sample.items() if name != "key"} for sample in samples]
    return {**stack(rest), "keys": keys}


class CacheRecord:
    """How often the teachers of a process were spared.

    Args:
        teachers: list of `CachedTeacher`.
    """

    def __init__(self, teachers):
        self._teachers = teachers
        self._told = (0, 0)

    def share_of_hits(self):
        """Return which part, 0 to 1, of the rows that were wanted since the last call was there."""
        hits, asked = self._sums()
        new = hits - self._told[0], asked - self._told[1]
        self._told = hits, asked
        return new[0] / new[1] if new[1] else 0.0

    def log_total(self):
        """Log it for the whole run."""
        hits, asked = self._sums()
        share = f" ({hits / asked:.1%})" if asked else ""
        logger.info(f"teacher cache: {hits} of {asked} rows{share} were read, the others computed")

    def _sums(self):
        return sum(t.hits for t in self._teachers), sum(t.asked for t in self._teachers)


def attach(step, builder, teacher_cfgs, plan, args):
    """Let the teachers of a step keep their outputs, each in a folder of its own below --teacher_cache.

    Args:
        step: a `DistillStep`; its teachers are replaced, and its `cache` is set.
        builder: the student's `SegBuilder`.
        teacher_cfgs: a `Config` of each teacher.
        plan: the `Plan`.
        args: the parsed flags of `distill_train.py`.

    Raises:
        UserError: images of several sizes, outputs that depend on the other images of a batch, a folder that
            cannot be used, or too little room.
    """
    unlabeled = num_unlabeled(builder.cfg.dic)
    keys, samples = mixed(
        builder.train_dataset,
        builder.unlabeled_dataset,
        builder.cfg.batch_size,
        unlabeled,
        builder.cfg.iters,
        args.seed,
        parallel.rank(),
        parallel.num_ranks(),
        parts=args.accumulate_steps,
        views=args.cache_views,
    )
    images = _some_images(builder, samples, args)
    about = {
        "what": "outputs of a teacher for views of training images; row = number of the image * views + view",
        "form": _FORM,
        "views": args.cache_views,
        "seed": args.seed,
        "data": [_about_data(builder.cfg, *source) for source in _sources(builder, unlabeled)],
    }
    num_logits = 0 if builder.distill_loss is None else len(builder.distill_loss["types"])
    cached = []
    for k, (teacher, cfg) in enumerate(zip(step.teachers.teachers, teacher_cfgs)):
        taps = list(dict.fromkeys(f.teacher for f in plan.features if f.teacher_index == k))
        if not num_logits and not taps:
            continue  # nobody asks it
        tensors = _tensors(teacher, images, num_logits, taps)
        whole = {
            **about,
            "teacher": _about_teacher(cfg, teacher),
            "tensors": tensors,
            "dtype": args.cache_dtype,
        }
        files = _open(args, whole, len(samples) * args.cache_views)
        cached.append(CachedTeacher(teacher, files, args.cache_views, num_logits, taps))
        step.teachers.teachers[k] = cached[-1]
    step.cache = CacheRecord(cached)
    per_iteration = builder.cfg.batch_size * args.accumulate_steps * parallel.num_ranks()
    _check_room(args.teacher_cache, [teacher.files for teacher in cached], builder.cfg.iters * per_iteration)
    if builder.cfg.iters <= args.cache_views * keys.iters_per_epoch:
        logger.warning(
            f"--teacher_cache: {builder.cfg.iters} iterations show none of the {args.cache_views} views of "
            f"an image twice, so what is kept serves later trainings alone; a lower --cache_views would use "
            f"it in this one"
        )


def _some_images(builder, samples, args):
    """Return some training images, N x 3 x H x W with N = batch_size, after a look at the sizes of more."""
    readable = ReplacedSamples(samples, args.seed, len(samples))  # how many may be bad, the training judges
    count = max(_TRIED, builder.cfg.batch_size)
    keys = [(i % args.cache_views, i * len(samples) // count) for i in range(count)]
    images = [readable.read(key)[0]["img"] for key in keys]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise UserError(
            f"{builder.cfg.place('train_dataset', 'transforms')}: they give images of several sizes, such as "
            f"{_size(shapes[0])} and {_size(shapes[1])}, and --teacher_cache keeps rows of one size; add one "
            f"that gives a fixed size, such as RandomPaddingCrop or Resize"
        )
    return paddle.to_tensor(np.stack(images[: builder.cfg.batch_size]))


def _size(shape):
    return " x ".join(map(str, shape[-2:]))


def _sources(builder, unlabeled):
    """Return (section, data set) of each of the data sets that batches are drawn from, in their order."""
    sources = [("train_dataset", builder.train_dataset)] if unlabeled < builder.cfg.batch_size else []
    return sources + ([("unlabeled_dataset", builder.unlabeled_dataset)] if unlabeled else [])


def _about_data(cfg, section, dataset):
    """Return what decides the views of a data set; not where it is, and a row knows its image by itself."""
    spec = {key: value for key, value in cfg[section].items() if key not in _PATHS}
    root = cfg[section].get("dataset_root") or "."
    names = [os.path.relpath(image, root) for image, _ in pairs_of(dataset)]
    listed = hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
    return {**flattened(spec, section), "number of images": len(dataset), "their names (SHA-256)": listed}


def _about_teacher(cfg, teacher):
    model = {key: value for key, value in cfg["model"].items() if key != "pretrained"}
    return {**flattened(model, "model"), "weights (SHA-256)": digest(teacher.model)}


def _tensors(teacher, images, num_logits, taps):
    """Return {name: {'is': what, 'shape': of one image}} of what is kept of a teacher.

    Raises:
        UserError: one that is not N x ..., or that other images of the batch decide with.
    """
    found = _asked(teacher, images, num_logits, taps)
    # The first image in other company.
    again = _asked(teacher, images[:1].tile([len(images), 1, 1, 1]), num_logits, taps)
    told = [*(f"logits, output {i}" for i in range(num_logits)), *map(str, taps)]
    tensors = {}
    for name, what, one, other in zip(tensor_names(num_logits, len(taps)), told, found, again):
        alone = len(one.shape) > 1 and one.shape[0] == len(images)
        if not alone or not np.allclose(one[0], other[0], rtol=1e-3, atol=1e-3 * np.abs(one[0]).max()):
            raise UserError(
                f"--teacher_cache: the teacher's {what} depends on which images are in a batch together, so "
                f"it cannot be kept for each; leave it out of distill.features, or train without a cache"
            )
        tensors[name] = {"is": what, "shape": list(one.shape[1:])}
    return tensors


def _asked(teacher, images, num_logits, taps):
    logits, tapped = teacher.at_head(images)
    return [tensor.astype("float32").numpy() for tensor in (*logits[:num_logits], *(tapped[t] for t in taps))]


def _open(args, about, num_rows):
    """Open, or make, the folder whose name is the hash of what its rows are, and log what it holds."""
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    layout = {name: (tensor["shape"], about["dtype"]) for name, tensor in about["tensors"].items()}
    files = CacheFiles(os.path.join(args.teacher_cache, name), about, num_rows, layout)
    logger.info(
        f"teacher cache {files.folder}: {told_size(files.size)} when full, of {num_rows} rows "
        f"({about['views']} views of each image) of {told_size(files.row_bytes)} in {about['dtype']}; "
        f"{files.filled()} rows are there"
    )
    return files


def _check_room(folder, all_files, most_rows):
    """Raise `UserError` unless the disk can take what is missing, of which a run adds `most_rows` at most."""
    needed = sum(min(f.num_rows - f.filled(), most_rows) * f.row_bytes for f in all_files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"--teacher_cache {folder}: {told_size(needed)} are to be written, and {told_size(free)} are "
            f"free; make room, name a folder on another disk, or lower --cache_views"
        )
