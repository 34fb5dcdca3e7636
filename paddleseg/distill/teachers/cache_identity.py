"""What the rows of a teacher's cache depend on, as plain values by which their folder is named."""

import hashlib
import os

import numpy as np
import paddle

from paddleseg.checkpoints.resume import flattened
from paddleseg.cvlibs.class_names import NAMING
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.errors import UserError

_WITHOUT_EFFECT = ("dataset_root", "train_path", "val_path", "test_path", "image_list")


def data_identity(builder):
    """Return what decides the views of each data set that batches are drawn from, a list of dicts.

    These are its transforms and the names of its images. Its place on the disk and the content of its files
    do not count, since each row identifies its own image.

    Args:
        builder: the student's `SegBuilder`.
    """
    cfg, unlabeled = builder.cfg, builder.cfg.unlabeled_per_batch
    sources = [("train_dataset", builder.train_dataset)] if unlabeled < cfg.batch_size else []
    sources += [("unlabeled_dataset", builder.unlabeled_dataset)] if unlabeled else []
    return [_source_identity(cfg, *source) for source in sources]


def _source_identity(cfg, section, dataset):
    without_effect = (*_WITHOUT_EFFECT, *(("class_names",) if cfg[section]["type"] == NAMING else ()))
    spec = {key: value for key, value in cfg[section].items() if key not in without_effect}
    # Relative names, which do not depend on how the config writes the folder.
    root = os.path.abspath(cfg[section].get("dataset_root") or os.curdir)
    names = "\n".join(os.path.relpath(image, root) for image, _ in pairs_of(dataset))
    digest = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
    return {**flattened(spec, section), "number of images": len(dataset), "their names (SHA-256)": digest}


def teacher_identity(teacher, taps, distill_file_digest):
    """Return what decides the cached outputs of a teacher: its model and weights, not its engine.

    Args:
        teacher: a `Teacher`.
        taps: keys of the tensors that are cached.
        distill_file_digest: SHA-256 of the distill_config.py, which defines the taps that are names.
    """
    named = any(isinstance(tap, str) for tap in taps)
    return {**teacher.identity(), **({"--distill_config (SHA-256)": distill_file_digest} if named else {})}


def describe_tensors(teacher, images, num_logits, taps):
    """Run a teacher, and return which of its tensors are cached, and their values.

    Args:
        teacher: a `Teacher`.
        images: N x 3 x H x W.
        num_logits: how many of its logits are cached, the first ones.
        taps: keys of the tensors that are cached.

    Returns:
        ({name: {'is': meaning, 'shape': shape for one image}}, {name: float32 array N x ... for the images}).

    Raises:
        UserError: a tensor is not N x ..., or depends on the other images of the batch.
    """
    outputs = _computed(teacher, images, num_logits, taps)
    # The same first image, in a batch with quite different other ones.
    factors = paddle.to_tensor([1.0] + [-3.0] * (len(images) - 1)).reshape([-1, 1, 1, 1])
    with_others = _computed(teacher, images * factors, num_logits, taps)
    meanings = [*(f"logits, output {i}" for i in range(num_logits)), *map(str, taps)]
    for meaning, one, other in zip(meanings, outputs, with_others):
        row_per_image = one.ndim > 1 and one.shape[0] == len(images)
        if not row_per_image or not np.allclose(
            one[0], other[0], rtol=1e-3, atol=1e-3 * np.abs(one[0]).max()
        ):
            raise UserError(
                f"teacher_cache: the teacher's {meaning} depends on which images are in a batch together, so "
                f"it cannot be cached for each; leave it out of distill.features, or train without a cache"
            )
    names = [*(f"logits_{i}" for i in range(num_logits)), *(f"tap_{i}" for i in range(len(taps)))]
    described = [{"is": meaning, "shape": list(one.shape[1:])} for meaning, one in zip(meanings, outputs)]
    return dict(zip(names, described)), dict(zip(names, outputs))


def _computed(teacher, images, num_logits, taps):
    logits, tapped = teacher.at_head(images)
    return [tensor.astype("float32").numpy() for tensor in (*logits[:num_logits], *(tapped[t] for t in taps))]
