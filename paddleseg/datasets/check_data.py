"""A check of every file of a config's data sets, behind `tools/check_dataset.py`."""

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
MOST_NAMED = 10  # values or classes that one line names


class ClassCounts(NamedTuple):
    """How often each class occurs in a data set.

    Attributes:
        labels: the number of each class, followed by its name if it has one.
        pixels: int64; the number of pixels of each class, then of ignored pixels.
        masks: int64; the number of masks that show each class, then of those with ignored pixels.
        ignored: the mask value that is ignored, which may be the number of a class.
    """

    labels: list
    pixels: np.ndarray
    masks: np.ndarray
    ignored: int


class Report(NamedTuple):
    """The result of a check.

    Attributes:
        findings: a line for each error, in the order of the lists.
        counts: {section: `ClassCounts`}, without sections that have no readable mask.
    """

    findings: list
    counts: dict


class _CheckedPair(NamedTuple):
    """The result for one image and its mask: errors, SHA-256 of the image, pixels as in `ClassCounts`."""

    findings: list
    digest: Optional[bytes] = None
    pixels: Optional[np.ndarray] = None


def check_config(cfg, num_threads=4):
    """Check the train and val sets of a `Config` and return the `Report`.

    Args:
        cfg: with the sections `train_dataset` and `val_dataset`, or one of them.
        num_threads: how many files are read at the same time. Default 4.

    Raises:
        UserError: neither section is there, or a data set does not have its files and classes as attributes.
    """
    sections = [section for section in SECTIONS if cfg.get(section) is not None]
    if not sections:
        raise UserError(f"{cfg.path}: there is neither train_dataset nor val_dataset to check")
    findings = cfg.differences("val_dataset", "unlabeled_dataset", "export")
    counts, digests = {}, {}
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
        findings += [f"{section}: {line}" for pair in checked for line in pair.findings]
        pixels = np.array([pair.pixels for pair in checked if pair.pixels is not None])
        if len(pixels):
            labels = labelled(class_names(dataset), dataset.num_classes)
            counts[section] = ClassCounts(labels, pixels.sum(0), (pixels > 0).sum(0), ignored_label(dataset))
        digests[section] = {
            result.digest: image for (image, _), result in zip(pairs, checked) if result.digest
        }
    return Report(findings + _in_both_sets(digests), counts)


def _build(spec, section):
    """Return the data set without its transforms, which a check does not apply."""
    component = manager.DATASETS[spec["type"]]
    spec = {**spec, "transforms": []} if accepts(component, "transforms") else spec
    return build_component(spec, manager.DATASETS, section)


def _check_all(dataset, pairs, section, num_threads):
    check = functools.partial(_check_pair, dataset)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as threads:
        results = threads.map(check, pairs)
        return list(tqdm(results, total=len(pairs), desc=section, unit="samples", disable=None))


def _check_pair(dataset, pair):
    (image_path, mask_path), findings = pair, []
    size = digest = None
    try:
        content = read_bytes(os.fspath(image_path), "image")
        digest = hashlib.sha256(content).digest()
        size = decode_image(content, image_path).shape[:2]
    except UserError as error:
        findings.append(str(error))
    if mask_path is None:
        return _CheckedPair(findings, digest)
    try:
        mask = getattr(dataset, "read_label", os.fspath)(mask_path)
        mask = read_mask(mask) if isinstance(mask, (str, os.PathLike)) else mask
    except UserError as error:
        return _CheckedPair([*findings, str(error)], digest)
    if size is not None and mask.shape != size:
        findings.append(
            f"the image {image_path!r} is {size[1]} x {size[0]}, its mask {mask_path!r} "
            f"{mask.shape[1]} x {mask.shape[0]} (width x height)"
        )
    ignored = ignored_label(dataset)
    wrong, pixels = _count(mask, dataset.num_classes, ignored)
    if wrong:
        findings.append(
            f"the mask {mask_path!r} holds {', '.join(map(str, wrong[:MOST_NAMED]))}, but masks hold "
            f"0..{dataset.num_classes - 1}, or {ignored} for pixels to ignore"
        )
    return _CheckedPair(findings, digest, pixels)


def _count(mask, num_classes, ignored):
    """Return the values that are no class, and the number of pixels of each class and of ignored pixels."""
    pixels, wrong = np.zeros(num_classes + 1, np.int64), []
    for value, count in zip(*(array.tolist() for array in np.unique(mask, return_counts=True))):
        if value == ignored:
            pixels[-1] += count
        elif 0 <= value < num_classes:
            pixels[value] += count
        else:
            wrong.append(value)
    return wrong, pixels


def _in_both_sets(digests):
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
    for section, counts in report.counts.items():
        names = [*(f"class {label}" for label in counts.labels), "ignored"]
        width, total = max(18, *map(len, names)), max(counts.pixels.sum(), 1)
        lines.append(f"{section:{width + 2}} {'pixels':>10} {'masks':>8}")
        for name, pixels, masks in zip(names, counts.pixels, counts.masks):
            lines.append(f"  {name:{width}} {pixels / total:10.4%} {masks:8}")
    return lines


def notes(report):
    """Return a line for each data set with classes that no mask holds, which may be intended.

    A class that is ignored does not count.
    """
    lines = []
    for section, counts in report.counts.items():
        absent = [
            label
            for number, (label, masks) in enumerate(zip(counts.labels, counts.masks))
            if not masks and number != counts.ignored
        ]
        if absent:
            noun = "class" if len(absent) == 1 else "classes"
            more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
            lines.append(f"{section}: no mask holds {noun} {', '.join(absent[:MOST_NAMED])}{more}")
    return lines
