"""Curves as lines in pixels, by hand."""

import pytest

from paddleseg.report import curves
from paddleseg.report.curves import Curve, chart, charts, thinned, ticks, tradeoffs
from paddleseg.report.runs import read_runs


@pytest.mark.parametrize(
    ("low", "high", "count", "whole", "expected"),
    [
        (0, 1, 5, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.48, 0.71, 5, False, [0.5, 0.55, 0.6, 0.65, 0.7]),
        (10, 40, 4, True, [10, 20, 30, 40]),
        (1, 2, 4, True, [1, 2]),
        (0, 160_000, 4, True, [0, 50_000, 100_000, 150_000]),
        (-0.3, 0.3, 3, False, [-0.2, 0, 0.2]),
        (1e-5, 3e-5, 4, False, [1e-5, 1.5e-5, 2e-5, 2.5e-5, 3e-5]),
    ],
)
def test_ticks_are_round_and_within(low, high, count, whole, expected):
    assert ticks(low, high, count, whole) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.1411, [0, 0.05, 0.1, 0.15]),
        (0.1, 0.5, [0.1, 0.2, 0.3, 0.4, 0.5]),
        (-0.07, 0.22, [-0.1, 0, 0.1, 0.2, 0.3]),
        (0.3, 0.3, [0.26, 0.28, 0.3, 0.32, 0.34]),
        (0.1, 0.1 + 1e-16, [0.09, 0.095, 0.1, 0.105, 0.11]),
        (1e-14, 3e-14, [1e-14, 1.5e-14, 2e-14, 2.5e-14, 3e-14]),
    ],
)
def test_an_axis_of_values_ends_at_labels_around_them(low, high, expected):
    drawn = chart("mIoU", [Curve("a", 0, False, [(0, low), (1, high)])])
    assert [float(text) for _, text in drawn.y_ticks] == pytest.approx(expected, abs=0)
    assert drawn.y_ticks[0][0] == curves.HEIGHT - curves.BOTTOM
    assert drawn.y_ticks[-1][0] == curves.TOP
    pixels = [y for _, y in drawn.lines[0].pieces[0]]
    assert curves.TOP <= min(pixels) <= max(pixels) <= curves.HEIGHT - curves.BOTTOM


def test_pixels_by_hand():
    drawn = chart("loss", [Curve("a", 0, False, [(0, 0.0), (5, 1.0), (10, None), (15, 0.5), (20, 0.0)])])
    # 328 pixels from 52 for 20 iterations, and 210 upwards from 220 for 1, the range of the values.
    assert drawn.lines[0].pieces == [[(52, 220), (134, 10)], [(298, 115), (380, 220)]]
    assert drawn.x_ticks == [(52, "0"), (134, "5"), (216, "10"), (298, "15"), (380, "20")]
    assert [text for _, text in drawn.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [pixel for pixel, _ in drawn.y_ticks] == [220, 178, 136, 94, 52, 10]


def test_a_long_curve_is_thinned_to_means():
    points = [(k, float(k)) for k in range(1, 11)]
    assert thinned(points, 4) == [(3, 2.0), (6, 5.0), (9, 8.0), (10, 10.0)]
    points[4] = (5, None)
    assert thinned(points, 4)[1] == (6, None)
    assert thinned(points, 10) == points
    assert thinned([], 4) == []


def test_a_single_value_is_a_point_in_the_middle():
    drawn = chart("mIoU", [Curve("a", 0, False, [(4, 0.5)])])
    ((x, y),) = drawn.lines[0].pieces[0]
    assert curves.LEFT < x < curves.WIDTH - curves.RIGHT
    assert curves.TOP < y < curves.HEIGHT - curves.BOTTOM
    assert chart("mIoU", [Curve("a", 0, False, [(4, None)])]) is None


def test_every_loss_has_a_chart_of_the_runs_that_have_it(trained, made_up):
    runs = read_runs([trained / "plain_0", made_up("silent"), trained / "distilled_0"])
    drawn = {one.title: one for one in charts(runs)}
    assert list(drawn) == ["mIoU on the validation images", "loss", "CrossEntropyLoss", "KLLoss"]
    assert [(line.name, line.color) for line in drawn["loss"].lines] == [("plain_0", 0), ("distilled_0", 2)]
    assert [line.name for line in drawn["KLLoss"].lines] == ["distilled_0"]
    assert [len(line.pieces[0]) for line in drawn["loss"].lines] == [4, 4]
    assert charts(read_runs([made_up("silent_too")])) == []


def test_the_moving_average_is_a_dashed_line_of_the_runs_colour(made_up):
    evaluations = [
        {"kind": "eval", "iteration": k, "miou": 0.1 * k, "class_iou": [], **ema}
        for k in (1, 2)
        for ema in ({}, {"ema": True})
    ]
    (drawn,) = charts(read_runs([made_up("a", history=evaluations)]))
    assert [(line.name, line.color, line.dashed) for line in drawn.lines] == [
        ("a", 0, False),
        ("a, moving average", 0, True),
    ]


def evaluated(made_up, name, seed, mious, **record):
    entries = [
        {"kind": "eval", "iteration": 2 * k, "miou": miou, "class_iou": []} for k, miou in enumerate(mious)
    ]
    return made_up(name, history=entries, seed=seed, **record)


def test_seeds_of_one_method_are_their_mean_in_a_band(made_up):
    given = [evaluated(made_up, "plain_0", 0, [0.2, 0.4, 0.5]), evaluated(made_up, "plain_1", 1, [0.4, 0.6])]
    given.append(evaluated(made_up, "other", 0, [0.0, 1.0], model="Other"))
    (drawn,) = charts(read_runs(given))
    mean, other = drawn.lines
    assert (mean.name, other.name) == ("plain (2 seeds)", "other")
    # 210 pixels upwards from 220; the deviation of 0.2 and 0.4, and of 0.4 and 0.6, is 0.1414.
    assert mean.pieces == [[(52, 157), (380, 115)]]
    assert mean.bands == [[(52, 127.3), (380, 85.3), (380, 144.7), (52, 186.7)]]
    assert other.bands == []


def test_the_miou_over_the_cost_by_hand(made_up):
    given = [evaluated(made_up, f"plain_{seed}", seed, [0.4 + 0.2 * seed]) for seed in (0, 1)]
    given += [evaluated(made_up, "big", 0, [1.0], model="Big"), made_up("never_evaluated", model="Third")]
    small, big = {"seconds": 0.01, "parameters": 1_000_000}, {"seconds": None, "parameters": 5_000_000}
    latency, parameters = tradeoffs(read_runs(given), [small, small, big, None])
    assert latency.title == "mIoU over latency, ms an image"
    assert [line.name for line in latency.lines] == ["plain (2 seeds)"]
    assert [line.name for line in parameters.lines] == ["plain (2 seeds)", "big"]
    assert [text for _, text in parameters.x_ticks] == ["1", "2", "3", "4", "5"]
    ((x, y),) = parameters.lines[1].pieces[0]
    assert (x, y) == (380, 10)
    assert tradeoffs(read_runs(given[3:]), [None]) == []
