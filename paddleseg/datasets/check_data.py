"""Every file of a config's data sets, opened and judged; `tools/check_dataset.py` prints what is found."""

import concurrent.futures
import functools
import hashlib
import os
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.errors import UserError
from paddleseg.transforms.reading import decode_image, read_bytes, read_mask
from paddleseg.utils.signature import accepts

SECTIONS = ("train_dataset", "val_dataset")
MOST_NAMED = 10  # of the values or classes in a line


class Checked(NamedTuple):
    """What one image and its mask tell.

    Attributes:
        findings: what is wrong, a line each.
        digest: SHA-256 of the image file, None if it cannot be read.
        pixels: how many pixels of the mask are of each class, then how many are ignored; None without a mask.
    """

    findings: list
    digest: Optional[bytes]
    pixels: Optional[np.ndarray]


class Report(NamedTuple):
    """What the data sets of a config tell.

    Attributes:
        findings: what is wrong, a line each, in the order of the lists.
        pixels: {section: pixels of each class, then those ignored}.
        images: {section: in how many masks each class shows, then in how many something is ignored}.
        labels: {section: what each class is called, by its number and its name, if it has one}.
        ignored: {section: the mask value of what is ignored, which may be a class's number}.
    """

    findings: list
    pixels: dict
    images: dict
    labels: dict
    ignored: dict


def check_config(cfg, num_threads=4):
    """Check the train and val sets of a `Config` and return the `Report`.

    Args:
        cfg: with the sections `train_dataset` and `val_dataset`, or one of them.
        num_threads: how many files are read at once.

    Raises:
        UserError: neither section is there, or a data set does not say its files and its classes.
    """
    findings, pixels, images, labels, ignored, digests = [], {}, {}, {}, {}, {}
    sections = [section for section in SECTIONS if cfg.get(section) is not None]
    if not sections:
        raise UserError(f"{cfg.path}: there is neither train_dataset nor val_dataset to check")
    for section in sections:
        try:
            dataset = _build(cfg[section], section)
        except UserError as error:
            findings.append(str(error))
            continue
        pairs = pairs_of(dataset)
        if not pairs or not hasattr(dataset, "num_classes"):
            raise UserError(
                f"{section}: to be checked, {type(dataset).__name__} must have `num_classes` and a "
                f"`file_list` of [image path, mask path or None]"
            )
        checked = _check_all(dataset, pairs, section, num_threads)
        findings += [f"{section}: {line}" for one in checked for line in one.findings]
        counts = [one.pixels for one in checked if one.pixels is not None]
        if counts:
            pixels[section], images[section] = np.sum(counts, 0), np.sum([c > 0 for c in counts], 0)
            labels[section] = labelled(class_names(dataset), dataset.num_classes)
            ignored[section] = ignored_label(dataset)
        digests[section] = {one.digest: image for (image, _), one in zip(pairs, checked) if one.digest}
    return Report(findings + _shared(digests), pixels, images, labels, ignored)


def _build(spec, section):
    """Build a data set without its transforms, which read nothing."""
    component = manager.DATASETS[spec["type"]]
    spec = {**spec, "transforms": []} if accepts(component, "transforms") else spec
    return build_component(spec, manager.DATASETS, section)


def _check_all(dataset, pairs, section, num_threads):
    check = functools.partial(check_pair, dataset)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as threads:
        found = threads.map(check, pairs)
        return list(tqdm(found, total=len(pairs), desc=section, unit="samples", disable=None))


def check_pair(dataset, pair):
    """Return what an image and its mask tell, as `Checked`.

    Args:
        dataset: it has `num_classes`, what `ignored_label` finds, and perhaps `read_label`, as `Dataset` has.
        pair: [image path, mask path or None].
    """
    (image_path, mask_path), findings = pair, []
    size, digest = None, None
    try:
        content = read_bytes(os.fspath(image_path), "image")
        digest = hashlib.sha256(content).digest()
        size = decode_image(content, image_path).shape[:2]
    except UserError as error:
        findings.append(str(error))
    if mask_path is None:
        return Checked(findings, digest, None)
    try:
        mask = getattr(dataset, "read_label", os.fspath)(mask_path)
        mask = read_mask(mask) if isinstance(mask, (str, os.PathLike)) else mask
    except UserError as error:
        return Checked([*findings, str(error)], digest, None)
    if size is not None and mask.shape != size:
        findings.append(
            f"the image {image_path!r} is {size[1]} x {size[0]}, its mask {mask_path!r} "
            f"{mask.shape[1]} x {mask.shape[0]} (width x height)"
        )
    ignore_index = ignored_label(dataset)
    wrong, pixels = _count(mask, dataset.num_classes, ignore_index)
    if wrong:
        findings.append(
            f"the mask {mask_path!r} holds {', '.join(map(str, wrong[:MOST_NAMED]))}, but masks hold "
            f"0..{dataset.num_classes - 1}, or {ignore_index} for what is ignored"
        )
    return Checked(findings, digest, pixels)


def _count(mask, num_classes, ignore_index):
    """Return the values that are no class, and the pixels of each class and of what is ignored."""
    values, counts = np.unique(mask, return_counts=True)
    pixels = np.zeros(num_classes + 1, np.int64)
    wrong = []
    for value, count in zip(values.tolist(), counts.tolist()):
        if value == ignore_index:
            pixels[-1] += count
        elif 0 <= value < num_classes:
            pixels[value] += count
        else:
            wrong.append(value)
    return wrong, pixels


def _shared(digests):
    """Return a finding for each image of val that has the same bytes as one of train."""
    train, val = (digests.get(section, {}) for section in SECTIONS)
    return [
        f"{val[digest]!r} of val_dataset is the same image as {train[digest]!r} of train_dataset"
        for digest in val
        if digest in train
    ]


def table(report):
    """Return the shares of the classes as lines of text."""
    lines = []
    for section, pixels in report.pixels.items():
        names = [*(f"class {label}" for label in report.labels[section]), "ignored"]
        width = max(18, *map(len, names))
        lines.append(f"{section:{width + 2}} {'pixels':>10} {'masks':>8}")
        for name, count, shown in zip(names, pixels, report.images[section]):
            lines.append(f"  {name:{width}} {count / max(pixels.sum(), 1):10.4%} {shown:8}")
    return lines


def notes(report):
    """Return what may be meant so but is worth a look, lines: classes that no mask of a data set holds.

    One that is ignored is not expected.
    """
    lines = []
    for section, images in report.images.items():
        seen = [shown or k == report.ignored[section] for k, shown in enumerate(images)]
        absent = [label for label, there in zip(report.labels[section], seen) if not there]
        if absent:
            noun = "class" if len(absent) == 1 else "classes"
            more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
            lines.append(f"{section}: no mask holds {noun} {', '.join(absent[:MOST_NAMED])}{more}")
    return lines
