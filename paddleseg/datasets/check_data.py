"""A check of every file of a config's data sets, behind `tools/check_dataset.py`."""

import concurrent.futures
import functools
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.datasets.pair_check import check_pair, doubts_of_set
from paddleseg.errors import UserError, counted
from paddleseg.utils.signature import accepts

SECTIONS = ("train_dataset", "val_dataset", "unlabeled_dataset")
MOST_NAMED = 10  # classes that one line names
INTENDED = "alpha"  # the kind of doubt that is only noted


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
        remarks: a line for what may be intended, such as alpha bands that are left out.
    """

    findings: list
    counts: dict
    remarks: list


def check_config(cfg, num_threads=4):
    """Check the data sets of a `Config` and return the `Report`.

    Args:
        cfg: with the sections `train_dataset` and `val_dataset`, or one of them, and perhaps
            `unlabeled_dataset`.
        num_threads: how many files are read at the same time. Default 4.

    Raises:
        UserError: neither section is there, or a data set does not have its files and classes as attributes.
    """
    sections = [section for section in SECTIONS if cfg.get(section) is not None]
    if not sections:
        raise UserError(f"{cfg.path}: there is neither train_dataset nor val_dataset to check")
    findings = cfg.differences("val_dataset", "unlabeled_dataset", "export")
    counts, remarks, digests = {}, [], {}
    for section in sections:
        try:
            dataset = _build(cfg[section], section)
        except UserError as error:
            findings.append(str(error))
            continue
        pairs = pairs_of(dataset)
        if section == "unlabeled_dataset" and not pairs:
            continue  # it may read its images in its own way
        if not pairs or not (section == "unlabeled_dataset" or hasattr(dataset, "num_classes")):
            raise UserError(
                f"{section}: to be checked, {type(dataset).__name__} must have `num_classes` and a "
                f"`file_list` of [image path, mask path or None]"
            )
        checked = _check_all(dataset, pairs, section, num_threads)
        findings += [f"{section}: {line}" for pair in checked for line in _findings(pair)]
        findings += [f"{section}: {line}" for line in doubts_of_set(dataset, checked)]
        alpha = [pair.doubts[INTENDED] for pair in checked if INTENDED in pair.doubts]
        if alpha:
            remarks.append(f"{section}: {alpha[0]} ({counted(len(alpha), 'image')} in all)")
        pixels = np.array([pair.pixels for pair in checked if pair.pixels is not None])
        if len(pixels):
            labels = labelled(class_names(dataset), dataset.num_classes)
            counts[section] = ClassCounts(labels, pixels.sum(0), (pixels > 0).sum(0), ignored_label(dataset))
        digests[section] = {
            result.digest: image for (image, _), result in zip(pairs, checked) if result.digest
        }
    return Report(findings + _in_both_sets(digests), counts, remarks)


def _findings(pair):
    return [*pair.findings, *(line for kind, line in pair.doubts.items() if kind != INTENDED)]


def _build(spec, section):
    """Return the data set without its transforms, which a check does not apply."""
    component = manager.DATASETS[spec["type"]]
    spec = {**spec, "transforms": []} if accepts(component, "transforms") else spec
    return build_component(spec, manager.DATASETS, section)


def _check_all(dataset, pairs, section, num_threads):
    check = functools.partial(check_pair, dataset)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as threads:
        results = threads.map(check, pairs)
        return list(tqdm(results, total=len(pairs), desc=section, unit="samples", disable=None))


def _in_both_sets(digests):
    """Return a finding for each image of val that has the same bytes as one of train."""
    train, val = (digests.get(section, {}) for section in SECTIONS[:2])
    return [
        f"{val[digest]!r} of val_dataset is the same image as {train[digest]!r} of train_dataset"
        for digest in val
        if digest in train
    ]


def lines(report):
    """Return the whole report as lines of text."""
    remarks = [f"note: {line}" for line in notes(report)]
    return [*report.findings, *table(report), *remarks, counted(len(report.findings), "finding")]


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
    """Return the remarks, and a line for each data set with classes that no mask holds; both may be intended.

    A class that is ignored does not count.
    """
    lines = list(report.remarks)
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
