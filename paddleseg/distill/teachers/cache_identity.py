"""What the rows of a teacher's cache are of: whatever changes them, and nothing that does not."""

import hashlib
import os

import numpy as np
import paddle

from paddleseg.checkpoints.resume import flattened
from paddleseg.cvlibs.class_names import NAMING
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.distill.teachers.cached_teacher import tensor_names
from paddleseg.errors import UserError

_WITHOUT_EFFECT = ("dataset_root", "train_path", "val_path", "test_path", "image_list")


def about_data(builder):
    """Return what decides the views of each data set that batches are drawn from, in their order.

    Its transforms and the names of its images, that is; not where it lies, nor what the files hold: each row
    knows by itself of which image it is.

    Args:
        builder: the student's `SegBuilder`.
    """
    cfg, unlabeled = builder.cfg, builder.cfg.unlabeled_per_batch
    sources = [("train_dataset", builder.train_dataset)] if unlabeled < cfg.batch_size else []
    sources += [("unlabeled_dataset", builder.unlabeled_dataset)] if unlabeled else []
    return [_about_source(cfg, *source) for source in sources]


def _about_source(cfg, section, dataset):
    idle = (*_WITHOUT_EFFECT, *(("class_names",) if cfg[section]["type"] == NAMING else ()))
    spec = {key: value for key, value in cfg[section].items() if key not in idle}
    # Whatever way it is written: with a slash at its end, from here or from the top.
    root = os.path.abspath(cfg[section].get("dataset_root") or os.curdir)
    names = "\n".join(os.path.relpath(image, root) for image, _ in pairs_of(dataset))
    listed = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
    return {**flattened(spec, section), "number of images": len(dataset), "their names (SHA-256)": listed}


def about_teacher(k, identity, taps):
    """Return what decides the outputs of a teacher: its model and weights, not the engine that computes it.

    Args:
        k: its number.
        identity: the step's `identity()`.
        taps: keys of the tensors that are kept; what a name means, the distill_config.py says.
    """
    prefix = f"teacher {k}: "
    of_teacher = {key.removeprefix(prefix): v for key, v in identity.items() if key.startswith(prefix)}
    of_teacher.pop("engine", None)
    adaptor = "--distill_config (SHA-256)"
    by_name = any(isinstance(tap, str) for tap in taps)
    return {**of_teacher, **({adaptor: identity[adaptor]} if by_name else {})}


def about_tensors(teacher, images, num_logits, taps):
    """Return what is kept of a teacher, {name: {'is': what, 'shape': of one image}}, and that of some images.

    Args:
        teacher: a `Teacher`.
        images: N x 3 x H x W.
        num_logits, taps: as in `CachedTeacher`.

    Returns:
        (the dict, {name: float32 array N x ...}).

    Raises:
        UserError: a tensor is not N x ..., or other images of the batch decide with.
    """
    names = tensor_names(num_logits, len(taps))
    found = _asked(teacher, images, num_logits, taps)
    # The first image in quite another company.
    factors = paddle.to_tensor([1.0] + [-3.0] * (len(images) - 1)).reshape([-1, 1, 1, 1])
    again = _asked(teacher, images * factors, num_logits, taps)
    told = [*(f"logits, output {i}" for i in range(num_logits)), *map(str, taps)]
    for what, one, other in zip(told, found, again):
        alone = one.ndim > 1 and one.shape[0] == len(images)
        if not alone or not np.allclose(one[0], other[0], rtol=1e-3, atol=1e-3 * np.abs(one[0]).max()):
            raise UserError(
                f"--teacher_cache: the teacher's {what} depends on which images are in a batch together, so "
                f"it cannot be kept for each; leave it out of distill.features, or train without a cache"
            )
    tensors = {n: {"is": what, "shape": list(one.shape[1:])} for n, what, one in zip(names, told, found)}
    return tensors, dict(zip(names, found))


def _asked(teacher, images, num_logits, taps):
    logits, tapped = teacher.at_head(images)
    return [tensor.astype("float32").numpy() for tensor in (*logits[:num_logits], *(tapped[t] for t in taps))]
