"""Which stretches of a line are hidden, by hand."""

from paddleseg.report.overlaps import covered


def test_lines_apart_hide_nothing_of_one_another():
    low, high = [[(0, 10), (50, 10), (100, 20)]], [[(0, 12), (50, 12), (100, 22)]]
    assert covered([low, high]) == [[], []]
    assert covered([]) == []


def test_a_stretch_is_hidden_by_as_many_as_lie_on_it():
    first = [[(0, 10), (50, 10), (100, 10)]]
    second = [[(0, 10.5), (50, 10.5), (100, 30)]]
    # Its points are others, and it begins later.
    third = [[(40, 10), (60, 10), (120, 10)]]
    assert covered([first, second, third]) == [
        [(1, [(0, 10), (50, 10), (100, 10)])],
        [],
        [],
    ]
    third = [[(-10, 10), (60, 10), (120, 10)]]
    assert covered([first, second, third])[0] == [(2, [(0, 10), (50, 10)]), (1, [(50, 10), (100, 10)])]


def test_where_lines_cross_none_is_hidden():
    rising = [[(x, x) for x in range(0, 40, 2)]]
    falling = [[(x, 40 - x) for x in range(0, 40, 2)]]
    assert covered([rising, falling]) == [[], []]


def test_a_gap_hides_nothing_and_a_lone_point_is_hidden_whole():
    line = [[(0, 10), (20, 10)], [(60, 10)], [(80, 10), (100, 10)]]
    with_gap = [[(0, 10), (20, 10)], [(60, 10)]]
    assert covered([line, with_gap])[0] == [(1, [(0, 10), (20, 10)]), (1, [(60, 10)])]
    assert covered([with_gap, line])[0] == [(1, [(0, 10), (20, 10)]), (1, [(60, 10)])]


def test_a_line_between_whose_ends_another_bends_or_breaks_is_seen():
    line = [[(0, 10), (100, 10)]]
    assert covered([line, [[(0, 10), (50, 90), (100, 10)]]])[0] == []
    assert covered([line, [[(0, 10), (10, 10)], [(90, 10), (100, 10)]]])[0] == []
    assert covered([line, [[(0, 10), (50, 10.5), (100, 10)]]])[0] == [(1, line[0])]


def test_a_line_that_others_hide_in_turns_is_hidden_all_along():
    xs = range(0, 42, 6)
    line = [[(x, 10) for x in xs]]
    # One lies on it, the other leaves and comes back within less than the shortest stretch.
    always = [[(x, 10) for x in xs]]
    at_times = [[(x, 10 if k % 2 == 0 else 60) for k, x in enumerate(xs)]]
    twice = [[(0, 10), (6, 10), (12, 10)], [(18, 60), (24, 60)], [(30, 10), (36, 10)]]
    assert covered([line, always, at_times])[0] == [(1, [(x, 10) for x in xs])]
    assert covered([line, always, twice])[0] == [
        (2, [(0, 10), (6, 10), (12, 10)]),
        (1, [(12, 10), (18, 10), (24, 10), (30, 10)]),
        (2, [(30, 10), (36, 10)]),
    ]


def test_a_steep_line_is_as_near_as_a_flat_one():
    # 0.9 pixels apart across lines that rise by 20 a pixel, and 18 in height.
    steep = [[(x, 20 * x) for x in range(0, 21, 2)]]
    beside = [[(x, 20 * x + 18) for x in range(-2, 23, 2)]]
    far = [[(x, 20 * x + 30) for x in range(-2, 23, 2)]]
    assert covered([steep, beside])[0] == [(1, steep[0])]
    assert covered([steep, far])[0] == []
