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


def test_steep_lines_of_the_same_iterations_are_near_but_where_one_sticks_out():
    low = [[(x, 20 * x) for x in range(0, 11, 2)]]
    high = [[(x, 20 * x + 18) for x in range(0, 11, 2)]]
    # The 18 pixels at the lower end have nothing beside them; the last point has the line's last stretch.
    assert covered([low, high])[0] == [(1, low[0][1:])]
    assert covered([high, low])[0] == [(1, high[0][:-1])]


def test_a_line_is_near_a_segment_not_what_would_lengthen_it():
    # Lengthened, the first segment would pass through the flat line's second point.
    corner = [[(0, 0), (2, 40), (40, 40)]]
    assert covered([[[(2.5, 50), (3, 60), (40, 60)]], corner])[0] == []
    # Of a steep step, the points beside one another are at other iterations.
    step = [[(0, 0), (10, 0), (10.5, 100), (30, 100)]]
    beside = [[(0, 0), (10.8, 0), (11.3, 100), (30, 100)]]
    assert covered([step, beside])[0] == [(1, step[0])]
    assert covered([beside, step])[0] == [(1, beside[0])]


def test_a_piece_that_is_hidden_whole_counts_however_short_it_is():
    # A run of a few iterations beside long ones.
    short = [[(0, 10), (2, 10), (4, 10)]]
    assert covered([short, [[(0, 10), (4, 10), (100, 10)]]])[0] == [(1, short[0])]
    assert covered([short, [[(0, 10), (2, 10), (4, 60), (100, 10)]]])[0] == []


def test_counts_that_change_faster_than_the_shortest_stretch_leave_the_whole_hidden():
    line = [[(x, 10) for x in range(0, 24, 3)]]
    # 6 pixels each, which none would be long enough alone, under one line or the other or both.
    first = [[(0, 10), (3, 10), (6, 10), (9, 10)], [(15, 10), (18, 10), (21, 10)]]
    second = [[(x, 10) for x in range(6, 18, 3)]]
    assert covered([line, first, second])[0] == [
        (1, [(0, 10), (3, 10), (6, 10)]),
        (2, [(6, 10), (9, 10)]),
        (1, [(9, 10), (12, 10), (15, 10), (18, 10), (21, 10)]),
    ]


def test_noisy_lines_that_cross_at_every_point_are_seen():
    # Steep segments, of which each is at some place within a pixel of some other.
    zigzag = [[(1.1 * k, 40 * (k % 2)) for k in range(40)]]
    opposite = [[(1.1 * k, 40 - 40 * (k % 2)) for k in range(40)]]
    assert covered([zigzag, opposite]) == [[], []]
    assert covered([zigzag, zigzag])[0] == [(1, zigzag[0])]
