"""The curves of runs as lines in pixels, which `page.html` draws."""

import dataclasses
import math
from typing import List, Tuple

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 10, 30  # margins; half of the last tick's text stands in the right one
MOST_POINTS = 300  # of a line, since a chart is hardly wider
MOST_MARKED = 30  # points of a line that has a dot at each
COLORS = 8  # of `page.html`


@dataclasses.dataclass(frozen=True)
class Line:
    """The curve of one run.

    Attributes:
        name: of the run.
        color: number of its colour.
        dashed: whether it is drawn dashed.
        pieces: lists of (x, y) in pixels; between two pieces values are missing.
        marked: whether each point has a dot.
    """

    name: str
    color: int
    dashed: bool
    pieces: List[List[Tuple[float, float]]]
    marked: bool


@dataclasses.dataclass(frozen=True)
class Chart:
    """The curves of one quantity over the iterations.

    Attributes:
        title: the quantity.
        lines: list of `Line`.
        x_ticks, y_ticks: lists of (pixel, text).
    """

    title: str
    lines: List[Line]
    x_ticks: List[Tuple[float, str]]
    y_ticks: List[Tuple[float, str]]


def charts(runs):
    """Return a `Chart` of the mIoU and one of each loss, without those that no history has numbers for.

    Args:
        runs: list of `Run`; the place of a run in it decides its colour.
    """
    curves = {"mIoU on the validation images": _evaluations(runs), **_losses(runs)}
    all_charts = [chart(title, of_runs) for title, of_runs in curves.items()]
    return [one for one in all_charts if one is not None]


def chart(title, curves):
    """Return the `Chart` of curves, None where they hold no number.

    Args:
        title: the quantity.
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
        # With more runs than colours, the second run of a colour is dashed.
        dashed = dashed or color >= COLORS
        lines.append(Line(name, color % COLORS, dashed, pieces, len(points) <= MOST_MARKED))
    return Chart(title, [line for line in lines if line.pieces], x_ticks, y_ticks)


def thinned(points, most=MOST_POINTS):
    """Return at most `most` points, each the mean of a group of neighbours, None if the group holds None."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    means = []
    for group in (points[i : i + size] for i in range(0, len(points), size)):
        values = [y for _, y in group]
        means.append((group[-1][0], None if None in values else sum(values) / len(values)))
    return means


def ticks(low, high, count, whole=False, around=False):
    """Return about `count` round numbers from `low` to `high`.

    Args:
        whole: whether they must be whole numbers.
        around: whether to add the round numbers next to `low` and `high`, outside.
    """
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
    step = max(step, 1) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if around:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _losses(runs):
    """Return {name of a loss: its curves}."""
    trained = [
        [e for e in run.history if e["kind"] == "train" and isinstance(e.get("losses"), dict)] for run in runs
    ]
    names = dict.fromkeys(name for entries in trained for entry in entries for name in entry["losses"])
    return {
        name: [
            (run.name, number, False, [(e["iteration"], e["losses"].get(name)) for e in entries])
            for number, (run, entries) in enumerate(zip(runs, trained))
            if any(name in entry["losses"] for entry in entries)
        ]
        for name in names
    }


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
    # An axis of values ends at labels, so that the largest value can be read.
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
    """Return the points as lists, split where values are missing."""
    pieces = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]
