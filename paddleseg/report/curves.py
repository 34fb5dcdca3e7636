"""The curves of runs, and mIoU over cost, as lines in pixels, which `page.html` draws."""

import dataclasses
import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from paddleseg.report.runs import seeds_of
from paddleseg.report.tables import spread

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 10, 30  # margins; half of the last tick's text stands in the right one
MOST_POINTS = 300  # of a line, since a chart is hardly wider
MOST_MARKED = 30  # points of a line that has a dot at each
COLORS = 8  # of `page.html`


class Curve(NamedTuple):
    """A quantity of one run, or the mean of runs that differ in their seeds alone.

    Attributes:
        name: what the legend calls it.
        color: number of its colour.
        dashed: whether it is drawn dashed.
        points: list of (x, value or None).
        spread: the standard deviation of each value over the seeds; () for one run. Default ().
    """

    name: str
    color: int
    dashed: bool
    points: Sequence[Tuple[float, Optional[float]]]
    spread: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Line:
    """The curve of one run or of several seeds.

    Attributes:
        name: what the legend calls it.
        color: number of its colour.
        dashed: whether it is drawn dashed.
        pieces: lists of (x, y) in pixels; between two pieces values are missing.
        marked: whether each point has a dot.
        bands: for each piece, the outline of the values within a standard deviation, (x, y) in pixels.
    """

    name: str
    color: int
    dashed: bool
    pieces: List[List[Tuple[float, float]]]
    marked: bool
    bands: List[List[Tuple[float, float]]] = ()


@dataclasses.dataclass(frozen=True)
class Chart:
    """The curves of one quantity over another.

    Attributes:
        title: both quantities.
        lines: list of `Line`.
        x_ticks, y_ticks: lists of (pixel, text).
    """

    title: str
    lines: List[Line]
    x_ticks: List[Tuple[float, str]]
    y_ticks: List[Tuple[float, str]]


def charts(runs):
    """Return a `Chart` of the mIoU and one of each loss, without those that no history has numbers for.

    Runs that differ in their seeds alone are one curve, their mean, with a band of a standard deviation.

    Args:
        runs: list of `Run`; the place of a group of seeds in it decides its colour.
    """
    groups = seeds_of(runs)
    curves = {"mIoU on the validation images": _evaluations(groups), **_losses(groups)}
    return _without_empty(chart(title, of_groups) for title, of_groups in curves.items())


def tradeoffs(runs, costs):
    """Return a `Chart` of the mIoU over the latency and one over the parameters, those that have numbers.

    Args:
        runs: list of `Run`.
        costs: for each run what `costs.costs` returns.
    """
    cost_of = dict(zip((run.name for run in runs), costs))
    latencies, parameters = [], []
    for color, (name, group) in enumerate(seeds_of(runs).items()):
        mious, cost = [run.best["miou"] for run in group if run.best], cost_of[group[0].name]
        if not mious or cost is None:
            continue
        deviation = (spread(mious),) if len(mious) > 1 else ()
        for x, curves in ((cost["seconds"], latencies), (cost["parameters"] / 1e9, parameters)):
            if x is not None:
                curves.append(Curve(name, color, False, [(1000 * x, np.mean(mious))], deviation))
    titles = {"mIoU over latency, ms an image": latencies, "mIoU over parameters, millions": parameters}
    return _without_empty(chart(title, curves, whole=False) for title, curves in titles.items())


def exported_tradeoffs(exported):
    """Return a `Chart` of the mIoU of exported models over the latency and one over the size of their files.

    Args:
        exported: list of `exported.Exported`.
    """

    def points(cost):
        scored = [(i, one) for i, one in enumerate(exported) if one.miou is not None]
        return [
            Curve(one.name, i, False, [(getattr(one, cost), one.miou)])
            for i, one in scored
            if getattr(one, cost) is not None
        ]

    titles = {
        "mIoU over latency on one core, ms an image": points("latency"),
        "mIoU over the size of the file, MB": points("megabytes"),
    }
    return _without_empty(chart(title, curves, whole=False) for title, curves in titles.items())


def _without_empty(drawn):
    return [one for one in drawn if one is not None]


def chart(title, curves, whole=True):
    """Return the `Chart` of curves, None where they hold no number.

    Args:
        title: the quantity.
        curves: list of `Curve`.
        whole: whether the axis to the right counts in whole numbers, such as iterations. Default True.
    """
    known = [(x, y, deviation) for curve in curves for x, y, deviation in _thinned(curve) if y is not None]
    if not known:
        return None
    x_of, x_ticks = _axis([x for x, *_ in known], LEFT, WIDTH - RIGHT, 5, whole)
    ends = [y + sign * deviation for _, y, deviation in known for sign in (-1, 1)]
    y_of, y_ticks = _axis(ends, HEIGHT - BOTTOM, TOP, 5)
    lines = [_line(curve, x_of, y_of) for curve in curves]
    return Chart(title, [line for line in lines if line.pieces], x_ticks, y_ticks)


def _line(curve, x_of, y_of):
    def pixels(points):
        return [(round(x_of(x), 1), round(y_of(y), 1)) for x, y in points]

    points = _thinned(curve)
    pieces = _pieces(points)
    bands = [
        pixels([(x, y + d) for x, y, d in piece] + [(x, y - d) for x, y, d in reversed(piece)])
        for piece in (pieces if curve.spread else ())
    ]
    # With more groups than colours, the second group of a colour is dashed.
    dashed = curve.dashed or curve.color >= COLORS
    drawn = [pixels([(x, y) for x, y, _ in piece]) for piece in pieces]
    return Line(curve.name, curve.color % COLORS, dashed, drawn, len(points) <= MOST_MARKED, bands)


def _thinned(curve):
    """Return at most `MOST_POINTS` (x, value or None, deviation) of a curve."""
    deviations = thinned([(x, d) for (x, _), d in zip(curve.points, curve.spread)])
    points = thinned(curve.points)
    return [(x, y, deviations[i][1] if deviations else 0.0) for i, (x, y) in enumerate(points)]


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


def _losses(groups):
    """Return {name of a loss: its curves}."""
    curves = {}
    for color, (title, runs) in enumerate(groups.items()):
        trained = [[e for e in run.history if e["kind"] == "train" and e.get("losses")] for run in runs]
        for name in dict.fromkeys(name for entries in trained for e in entries for name in e["losses"]):
            values = [[(e["iteration"], e["losses"].get(name)) for e in entries] for entries in trained]
            curves.setdefault(name, []).append(_mean_curve(title, color, False, values))
    return curves


def _evaluations(groups):
    curves = []
    for color, (title, runs) in enumerate(groups.items()):
        for ema, name in ((False, title), (True, f"{title}, moving average")):
            values = [[(e["iteration"], e.get("miou")) for e in run.evaluations(ema)] for run in runs]
            if any(values):
                curves.append(_mean_curve(name, color, ema, values))
    return curves


def _mean_curve(name, color, dashed, values):
    """Return the `Curve` of the mean over runs, at the iterations that all of them have.

    Args:
        name, color, dashed: as in `Curve`.
        values: for each run a list of (iteration, value or None).
    """
    if len(values) == 1:
        return Curve(name, color, dashed, values[0])
    of_runs = [dict(points) for points in values if points]
    shared = [x for x in of_runs[0] if all(x in points for points in of_runs)]
    columns = [[points[x] for points in of_runs] for x in shared]
    means = [None if None in column else float(np.mean(column)) for column in columns]
    deviations = [0.0 if None in column else spread(column) for column in columns]
    return Curve(name, color, dashed, list(zip(shared, means)), deviations)


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
    """Return the points (x, value or None, deviation) as lists, split where values are missing."""
    pieces = [[]]
    for point in points:
        if point[1] is None:
            pieces.append([])
        else:
            pieces[-1].append(point)
    return [piece for piece in pieces if piece]
