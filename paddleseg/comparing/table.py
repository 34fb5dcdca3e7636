"""The table, the file of all runs and the picture of a comparison."""

import csv
import dataclasses
import os
from typing import List, Optional

import numpy as np

from paddleseg.comparing.plan import PLAIN, TEACHER
from paddleseg.comparing.results import Result
from paddleseg.evaluation.verdict import BETTER, Verdict, verdict
from paddleseg.report.tables import mean_text, share_of_gap

HEAD = (
    *("method", "equal", "iterations", "seconds a run", "seeds", "mIoU", "over plain, 95 % interval"),
    *("of the gap", "verdict", "parameters"),
)
ITERATIONS, TIME = "iterations", "time"  # what students have in common with the plain one
_COLUMNS = ("method", "equal", "iters", "seed", "miou", "seconds", "parameters", "class_iou")


@dataclasses.dataclass(frozen=True)
class Row:
    """The runs of one method that differ in their seeds alone.

    Attributes:
        method: its name.
        equal: what it has in common with the plain student: "iterations", "time" or "" for both.
        results: list of `Result`, one a seed.
        verdict: against the plain student's runs of the same seeds; None for teacher and plain student.
    """

    method: str
    equal: str
    results: List[Result]
    verdict: Optional[Verdict] = None

    @property
    def mious(self):
        """The mIoU of each seed."""
        return [result.miou for result in self.results]


def row_of(method, equal, results, plain=None):
    """Return the `Row` of a method, judged against the plain student if that is given.

    Args:
        method, equal, results: see `Row`.
        plain: what `Result.confusions` returns for the plain student, a list of the same seeds. Default None.
    """
    judged = None if plain is None else verdict([one.confusions() for one in results], plain)
    return Row(method, equal, results, judged)


def deciding(rows):
    """Return the rows that decide which method is the best: those of equal time, if there are any."""
    judged = [row for row in rows if row.verdict is not None]
    return [row for row in judged if row.equal == TIME] or judged


def best_of(rows):
    """Return the row of the highest mean mIoU among those that are "better", None without one."""
    better = [row for row in rows if row.verdict.word == BETTER]
    return max(better, key=lambda row: np.mean(row.mious), default=None)


def write(folder, rows, machine):
    """Write `runs.csv`, `table.md` and `plot.png` to a folder, and return the table.

    Args:
        folder: an existing one.
        rows: list of `Row`.
        machine: what computed, as a text.
    """
    with open(os.path.join(folder, "runs.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_csv_line(row, result) for row in rows for result in row.results)
    text = f"{markdown(rows)}\n\nSeconds are those of a run's iterations, without evaluations, on {machine}."
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    plot(os.path.join(folder, "plot.png"), rows)
    return text


def markdown(rows):
    """Return the rows as a Markdown table."""
    mious = {row.method: row.mious for row in rows if row.verdict is None}
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        over = gap = word = ""
        if row.verdict is not None:
            difference, low, high = row.verdict.difference, row.verdict.low, row.verdict.high
            over, word = f"{difference:+.4f} ({low:+.4f} to {high:+.4f})", row.verdict.word
            share = share_of_gap(row.mious, mious.get(PLAIN, []), mious.get(TEACHER))
            gap = "" if share is None else f"{share:.0%}"
        first = row.results[0]
        seconds = "" if first.seconds is None else f"{np.mean([one.seconds for one in row.results]):.0f}"
        figures = (str(first.training.iters or ""), seconds, str(len(row.results)), mean_text(row.mious))
        parameters = "" if first.parameters is None else f"{first.parameters / 1e6:.2f} M"
        lines.append((row.method, row.equal, *figures, over, gap, word, parameters))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _csv_line(row, result):
    training = result.training
    ious = " ".join(f"{iou:.4f}" for iou in result.class_iou)
    seconds = None if result.seconds is None else round(result.seconds, 3)
    figures = (training.seed, result.miou, seconds, result.parameters)
    return (row.method, row.equal, training.iters, *figures, ious)


def plot(path, rows):
    """Draw a line for each row but the teacher's: each run as a dot, and their mean as a stroke."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    students = [row for row in rows if row.method != TEACHER]
    figure, axes = pyplot.subplots(figsize=(8, 0.35 * len(students) + 1.6), layout="constrained")
    for y, row in enumerate(students):
        color = "tab:gray" if row.method == PLAIN else "tab:blue"
        axes.plot(row.mious, [y] * len(row.mious), "o", color=color, alpha=0.6)
        axes.plot([np.mean(row.mious)] * 2, [y - 0.3, y + 0.3], color=color, linewidth=2)
    for row in rows:
        if row.verdict is None:
            color = "tab:orange" if row.method == TEACHER else "tab:gray"
            axes.axvline(np.mean(row.mious), color=color, linestyle=":", label=f"mean of {row.method}")
    labels = [f"{row.method}, equal {row.equal}" if row.equal else row.method for row in students]
    axes.set_yticks(range(len(students)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("mIoU on the validation images")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
