"""The curves of runs as lines on a plane of given size; `page.html` draws them."""

import dataclasses
import math
from typing import List, Tuple

from paddleseg.report.overlaps import covered

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 10, 30  # that lines leave free; half a tick's text is in RIGHT
MOST_POINTS = 300  # a line is not much wider than that
MOST_MARKED = 30  # points that are told apart
COLORS = 8  # of `page.html`


@dataclasses.dataclass(frozen=True)
class Line:
    """One run's curve.

    Attributes:
        name: of the run.
        color: number of its colour.
        dashed: drawn so.
        pieces: lists of (x, y) in pixels; between two of them values are missing.
        marked: whether its points are to be told apart.
        covered: list of (number of later lines that hide it there, piece); see `overlaps.covered`.
    """

    name: str
    color: int
    dashed: bool
    pieces: List[List[Tuple[float, float]]]
    marked: bool
    covered: List[Tuple[int, List[Tuple[float, float]]]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves of one figure over the iterations.

    Attributes:
        title: of the figure.
        lines: list of `Line`.
        x_ticks, y_ticks: lists of (pixel, text).
    """

    title: str
    lines: List[Line]
    x_ticks: List[Tuple[float, str]]
    y_ticks: List[Tuple[float, str]]


def charts(runs):
    """Return a `Chart` of the mIoU and of each loss, as far as the histories of the runs tell of them.

    Args:
        runs: list of `Run`; their places in it are their colours.
    """
    figures = {"mIoU on the validation images": _evaluations(runs)}
    for name in dict.fromkeys(name for run in runs for entry in _trained(run) for name in entry["losses"]):
        figures[name] = [
            (run.name, number, False, [(e["iteration"], e["losses"].get(name)) for e in _trained(run)])
            for number, run in enumerate(runs)
            if any(name in entry["losses"] for entry in _trained(run))
        ]
    drawn = [chart(title, curves) for title, curves in figures.items()]
    return [one for one in drawn if one is not None]


def chart(title, curves):
    """Return the `Chart` of curves, None where they hold no number.

    Args:
        title: of the figure.
        curves: list of (name, number of the colour, dashed, [(iteration, value or None), ...]).
    """
    curves = [(*rest, thinned(points)) for *rest, points in curves]
    known = [(x, y) for *_, points in curves for x, y in points if y is not None]
    if not known:
        return None
    x_of, x_ticks = _axis([x for x, _ in known], LEFT, WIDTH - RIGHT, 5, whole=True)
    y_of, y_ticks = _axis([y for _, y in known], HEIGHT - BOTTOM, TOP, 5)
    lines = []
    for name, color, dashed, points in curves:
        pieces = [[(round(x_of(x), 1), round(y_of(y), 1)) for x, y in piece] for piece in _pieces(points)]
        lines.append(
            Line(name, color % COLORS, dashed or color >= COLORS, pieces, len(points) <= MOST_MARKED)
        )
    hidden = covered([line.pieces for line in lines])
    lines = [dataclasses.replace(line, covered=under) for line, under in zip(lines, hidden)]
    return Chart(title, [line for line in lines if line.pieces], x_ticks, y_ticks)


def thinned(points, most=MOST_POINTS):
    """Return at most `most` points, each the mean of as many neighbours, or None with a None among these."""
    size = math.ceil(len(points) / most)
    groups = [points[i : i + size] for i in range(0, len(points), size)] if size > 1 else []
    means = []
    for group in groups:
        values = [y for _, y in group]
        means.append((group[-1][0], None if None in values else sum(values) / len(values)))
    return means or list(points)


def ticks(low, high, count, whole=False, around=False):
    """Return about `count` round numbers within `low` and `high`, with the next beyond if `around`."""
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
    step = max(step, 1) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if around:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _trained(run):
    return [e for e in run.history if e["kind"] == "train" and isinstance(e.get("losses"), dict)]


def _evaluations(runs):
    curves = []
    for number, run in enumerate(runs):
        for ema, name in ((False, run.name), (True, f"{run.name}, moving average")):
            points = [(entry["iteration"], entry.get("miou")) for entry in run.evaluations(ema)]
            if points:
                curves.append((name, number, ema, points))
    return curves


def _axis(values, start, end, count, whole=False):
    """Return the function from a value to its pixel, and the ticks."""
    low, high = min(values), max(values)
    if math.isclose(low, high, rel_tol=1e-9):
        margin = 1 if whole else abs(low) * 0.1 or 1
        low, high = low - margin, high + margin
    # An axis of values ends at numbers that are told, so that the largest can be read from it.
    labels = ticks(low, high, count, whole, around=not whole)
    if not whole:
        low, high = labels[0], labels[-1]

    def pixel(value):
        return start + (value - low) / (high - low) * (end - start)

    return pixel, [(round(pixel(label), 1), _short(label)) for label in labels]


def _short(number):
    if number >= 10_000 and number % 1000 == 0:
        return f"{number / 1000:g}k"
    return f"{number:.6g}"


def _pieces(points):
    """Return the runs of points between missing values."""
    pieces = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]
