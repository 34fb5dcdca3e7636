"""The tables of the page, and how much of the gap to the teacher a distilled student closes."""

import collections
import dataclasses
from typing import List, Optional

import numpy as np

from paddleseg.evaluation.verdict import verdict
from paddleseg.report.runs import kind_of, on_same_images

UNKNOWN = "–"
KINDS = {
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
        notes: sentences below the table.
        missing: why there is no table, a sentence; None where there is one.
    """

    head: List[str] = dataclasses.field(default_factory=list)
    rows: List[List[str]] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)
    missing: Optional[str] = None


def kinds(runs, compared):
    """Return {first cell of a row of `overview` and `gains`: the kind of its runs, in words}."""
    words = {run.name: KINDS[kind_of(run, compared)] for run in runs}
    for comparison in compared:
        for group in (comparison.teachers, comparison.plain, comparison.distilled):
            if group:
                words[names(group)] = words[group[0].name]
    return words


def overview(runs, costs):
    """Return the `Table` of the runs, a row for each.

    Args:
        runs: list of `Run`.
        costs: for each run what `costs.costs` returns.
    """
    head = ["run", "seed", "mIoU", "at iteration"]
    head += ["parameters", "GFLOPs", "latency", "memory", "input"]
    rows = []
    for run, cost in zip(runs, costs):
        scores = (
            [UNKNOWN] * 2 if run.best is None else [f"{run.best['miou']:.4f}", str(run.best["iteration"])]
        )
        rows.append([run.name, str(run.record.get("seed", UNKNOWN)), *scores, *_cost_texts(cost)])
    notes = []
    if not on_same_images(runs):
        notes.append("The runs were not evaluated on the same images, so their mIoU cannot be compared.")
    if any(run.best is None for run in runs):
        notes.append("A run without an mIoU was never evaluated.")
    return Table(head, rows, notes)


def gains(compared):
    """Return the `Table` of what distillation gained, a row for each group of students and teachers.

    Args:
        compared: the `comparisons` of the runs.
    """
    if not compared:
        return Table(missing="None of these runs is a distillation.")
    rows, notes = {}, []
    intervals = [interval(comparison) for comparison in compared]
    judged = any(intervals)
    for comparison, of_gain in zip(compared, intervals):
        gain, problem = _gain(comparison)
        if problem is not None:
            notes.append(f"{names(comparison.distilled)}: no share of the gap is given, since {problem}.")
        no_gain = [UNKNOWN] * (3 if judged else 2)
        if judged:
            gain = [gain[0], of_gain or UNKNOWN, gain[1]]
        groups = [(comparison.teachers, no_gain), (comparison.plain, no_gain), (comparison.distilled, gain)]
        for group, cells in groups:
            if group:
                miou = _mious(group)
                rows[names(group)] = [names(group), mean_text(miou), *cells, str(len(miou))]
    # The mIoU comes first, since a phone has no room for more columns.
    head = ["runs", "mIoU", "over plain", *(["95 % interval"] if judged else []), "of the gap", "seeds"]
    return Table(head, list(rows.values()), notes)


def interval(comparison):
    """Return the 95 % interval of the gain over images and seeds, with its verdict, as a text.

    None unless plain and distilled students of equal seeds have the confusion matrices of the same images,
    which `tools/compare.py` stores, and the plain students differ in their seeds alone.
    """
    if _plain_differ(comparison) or not on_same_images([*comparison.plain, *comparison.distilled]):
        return None
    plain = {run.seed: run.confusions for run in comparison.plain}
    pairs = [(run.confusions, plain[run.seed]) for run in comparison.distilled if run.seed in plain]
    if not pairs or any(one is None or other is None or one.shape != other.shape for one, other in pairs):
        return None
    found = verdict(*zip(*pairs))
    return f"{found.low:+.4f} to {found.high:+.4f}: {found.word}"


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


def names(runs):
    """Return the names of runs as one text."""
    return ", ".join(run.name for run in runs)


def spread(values):
    """Return the sample standard deviation, 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def mean_text(values):
    """Return the mean of values, with the standard deviation of several; `UNKNOWN` for none."""
    if not values:
        return UNKNOWN
    return f"{np.mean(values):.4f}" + (f" ± {spread(values):.4f}" if len(values) > 1 else "")


def why_no_share(plain, teacher):
    """Return why a share of the gap would mean nothing, as a clause; None where it means something.

    Args:
        plain: the mIoU of plain students, one a seed.
        teacher: the mIoU of the teacher; None or empty if it is unknown.
    """
    if not teacher:
        return "the teacher's own mIoU is not known here"
    if len(plain) < 2:
        return "it takes plain students of two seeds or more to distinguish a gain from chance"
    if np.mean(teacher) - np.mean(plain) <= 2 * spread(plain):
        return "the teacher is not better than the plain student by more than two standard deviations"
    return None


def share_of_gap(values, plain, teacher):
    """Return (mean - plain mean) / (teacher mean - plain mean), or None where `why_no_share` has a reason.

    Args:
        values: the mIoU of distilled students, one a seed.
        plain, teacher: as in `why_no_share`.
    """
    if why_no_share(plain, teacher):
        return None
    return float((np.mean(values) - np.mean(plain)) / (np.mean(teacher) - np.mean(plain)))


def _gain(comparison):
    """Return ([gain over plain students, share of the gap], why there is no share or None)."""
    distilled, plain, teachers = map(_mious, (comparison.distilled, comparison.plain, comparison.teachers))
    runs = [*comparison.teachers, *comparison.plain, *comparison.distilled]
    over_plain, share = UNKNOWN, UNKNOWN
    if distilled and plain and on_same_images([*comparison.plain, *comparison.distilled]):
        over_plain = f"{np.mean(distilled) - np.mean(plain):+.4f}"
    if not comparison.plain:
        problem = "no run here trained its model without a teacher"
    elif not distilled or not plain:
        problem = "a run was never evaluated"
    elif not on_same_images(runs):
        problem = "the runs were not evaluated on the same images"
    elif _plain_differ(comparison):
        problem = "the plain students differ in more than their seeds"
    else:
        problem = why_no_share(plain, teachers)
    if problem is None:
        # The spread of a single distilled student is unknown.
        remark = "" if len(distilled) > 1 else " (one seed)"
        share = f"{share_of_gap(distilled, plain, teachers):.0%}{remark}"
    return [over_plain, share], problem


def _plain_differ(comparison):
    return len({str(run.config) for run in comparison.plain}) > 1


def _mious(runs):
    return [run.best["miou"] for run in runs if run.best is not None]


def _iou_text(iou):
    return UNKNOWN if iou is None else f"{iou:.4f}"


def _labels(runs, count):
    """Return labels of `count` classes, a number alone where runs name a class differently, and notes."""
    named = {run: dict(enumerate(run.class_names)) for run in runs if run.class_names}
    # The different names of each class.
    names_of = [{of_run[k] for of_run in named.values() if k in of_run} for k in range(count)]
    labels = [" ".join([str(k), *(given if len(given) == 1 else ())]) for k, given in enumerate(names_of)]
    notes = []
    differing = [k for k, given in enumerate(names_of) if len(given) > 1]
    if differing:
        groups = collections.defaultdict(list)
        for run, of_run in named.items():
            groups[", ".join(of_run.get(k, UNKNOWN) for k in differing)].append(run)
        classes = f"{'Class' if len(differing) == 1 else 'Classes'} {', '.join(map(str, differing))}"
        by_group = "; ".join(f"{given} in {names(group)}" for given, group in groups.items())
        notes.append(f"{classes}, by the names that the runs give: {by_group}.")
    if named and len(named) < len(runs):
        unnamed = [run for run in runs if run not in named]
        notes.append(f"The names come from other runs: none are given in {names(unnamed)}.")
    return labels, notes


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
