"""The tables of the page, as texts."""

import collections
import dataclasses
from typing import List, Optional

import numpy as np

from paddleseg.report.gap import share_of_gap, spread, why_no_share
from paddleseg.report.runs import part_of

UNKNOWN = "–"
PARTS = {
    "teacher": "teacher",
    "plain": "plain student",
    "distilled": "distilled student",
    "trained": "trained",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, or why there is none.

    Attributes:
        head: names of the columns.
        rows: lists of as many texts.
        notes: sentences below it.
        missing: why there is none, a sentence; None where there is one.
    """

    head: List[str] = dataclasses.field(default_factory=list)
    rows: List[List[str]] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)
    missing: Optional[str] = None


def whats(runs, found):
    """Return {first cell of a row: what it is, in words} of `overview` and `gains`."""
    said = {run.name: PARTS[part_of(run, found)] for run in runs}
    for comparison in found:
        for group in (comparison.teachers, comparison.plain, comparison.distilled):
            if group:
                said[names(group)] = said[group[0].name]
    return said


def overview(runs, costs):
    """Return the `Table` of the runs, a row for each.

    Args:
        runs: list of `Run`.
        costs: for each run what `costs.costs` returns.
    """
    head = [
        "run",
        "seed",
        "mIoU",
        "at iteration",
        "parameters",
        "GFLOPs",
        "latency",
        "memory",
        "input",
    ]
    rows = []
    for run, cost in zip(runs, costs):
        best = run.best
        rows.append(
            [
                run.name,
                str(run.about.get("seed", UNKNOWN)),
                UNKNOWN if best is None else f"{best['miou']:.4f}",
                UNKNOWN if best is None else str(best["iteration"]),
                *_cost_texts(cost),
            ]
        )
    notes = []
    if not _on_one_set(runs):
        notes.append("The runs were not evaluated on the same images, so their mIoU cannot be compared.")
    if any(run.best is None for run in runs):
        notes.append("A run without an mIoU was never evaluated.")
    return Table(head, rows, notes)


def gains(found):
    """Return the `Table` of what distillation has gained, a row for each student and teacher."""
    if not found:
        return Table(missing="None of these runs is a distillation.")
    rows, notes = {}, []
    for comparison in found:
        runs = [*comparison.teachers, *comparison.plain, *comparison.distilled]
        distilled, plain, teachers = map(
            _mious, (comparison.distilled, comparison.plain, comparison.teachers)
        )
        over, share = UNKNOWN, UNKNOWN
        problem = _problem(comparison, runs, distilled, plain, teachers)
        if distilled and plain and _on_one_set(runs):
            over = f"{np.mean(distilled) - np.mean(plain):+.4f}"
        if problem is None:
            # How much a distilled student varies is not known of a single one.
            remark = "" if len(distilled) > 1 else " (one seed)"
            share = f"{share_of_gap(distilled, plain, teachers):.0%}{remark}"
        else:
            notes.append(f"{names(comparison.distilled)}: no share of the gap is given, since {problem}.")
        for group in (comparison.teachers, comparison.plain):
            if group:
                seeds, miou = _mean(_mious(group))
                rows[names(group)] = [names(group), miou, UNKNOWN, UNKNOWN, seeds]
        name = names(comparison.distilled)
        seeds, miou = _mean(distilled)
        rows[name] = [name, miou, over, share, seeds]
    # What it is about first: a phone has no room for more.
    return Table(["runs", "mIoU", "over plain", "of the gap", "seeds"], list(rows.values()), notes)


def class_scores(runs):
    """Return the `Table` of the IoU of each class, a row for each class and a column for each run."""
    scored = [run for run in runs if run.best is not None and run.best.get("class_iou")]
    if not scored:
        return Table(missing="None of these runs was evaluated.")
    columns = [run.best["class_iou"] for run in scored]
    labels, notes = _labels(scored, max(map(len, columns)))
    rows = [
        [label, *(_iou_text(column[k] if k < len(column) else None) for column in columns)]
        for k, label in enumerate(labels)
    ]
    return Table(["class", *(run.name for run in scored)], rows, notes)


def _iou_text(iou):
    return UNKNOWN if iou is None else f"{iou:.4f}"


def _labels(runs, count):
    """Return what each of `count` classes is called, by its number alone where names differ, and notes."""
    named = {run: dict(enumerate(run.class_names)) for run in runs if run.class_names}
    given = [{said[k] for said in named.values() if k in said} for k in range(count)]
    labels = [" ".join([str(k), *(called if len(called) == 1 else ())]) for k, called in enumerate(given)]
    notes = []
    differing = [k for k, called in enumerate(given) if len(called) > 1]
    if differing:
        groups = collections.defaultdict(list)
        for run, said in named.items():
            groups[", ".join(said.get(k, UNKNOWN) for k in differing)].append(run)
        which = "Class" if len(differing) == 1 else "Classes"
        of = "; ".join(f"{called} in {names(group)}" for called, group in groups.items())
        notes.append(f"{which} {', '.join(map(str, differing))}, by the names that the runs give: {of}.")
    if named and len(named) < len(runs):
        unnamed = [run for run in runs if run not in named]
        notes.append(f"The names are other runs': none are given in {names(unnamed)}.")
    return labels, notes


def names(runs):
    """Return the names of runs as one text."""
    return ", ".join(run.name for run in runs)


def _problem(comparison, runs, distilled, plain, teachers):
    """Return why a share of the gap is not given, as a clause; None where it is."""
    if not comparison.plain:
        return "no run here trained its model without a teacher"
    if not distilled or not plain:
        return "a run was never evaluated"
    if not _on_one_set(runs):
        return "the runs were not evaluated on the same images"
    if len({str(run.about["config"]) for run in comparison.plain}) > 1:
        return "the plain students differ in more than their seeds"
    return why_no_share(plain, teachers)


def _mious(runs):
    return [run.best["miou"] for run in runs if run.best is not None]


def _mean(values):
    """Return the number of values and their mean, with the standard deviation of several."""
    if not values:
        return ["0", UNKNOWN]
    text = f"{np.mean(values):.4f}"
    return [str(len(values)), f"{text} ± {spread(values):.4f}" if len(values) > 1 else text]


def _on_one_set(runs):
    return len({str(_validation_set(run.config)) for run in runs}) <= 1


def _validation_set(config):
    section = config.get("val_dataset") or {}
    return sorted((key, str(value)) for key, value in section.items() if key != "transforms")


def _cost_texts(cost):
    if cost is None:
        return [UNKNOWN] * 5
    return [
        f"{cost['parameters'] / 1e6:.2f} M",
        f"{cost['flops'] / 1e9:.2f}",
        UNKNOWN if cost["seconds"] is None else f"{1000 * cost['seconds']:.1f} ms",
        f"{cost['megabytes']:.0f} MB",
        " × ".join(str(side) for side in cost["shape"][2:]),
    ]
