"""Where curves lie on one another, so that those drawn first would not be seen."""

import bisect
import itertools
import math

NEAR = 1.0  # pixels between lines of a width of 2 of which one hides most of the other
SHORTEST = 8  # pixels to the right along which lines that merely cross are not near, nor noisy ones by chance


def covered(lines):
    """Return for each line the stretches along which later ones hide it, and by how many it is hidden there.

    Args:
        lines: list of lists of pieces, each a list of (x, y) in pixels, x ascending.

    Returns:
        For each line a list of (number of later lines, piece).
    """
    return [
        [stretch for piece in pieces for stretch in _stretches(piece, lines[number + 1 :])]
        for number, pieces in enumerate(lines)
    ]


def _stretches(piece, later):
    """Return the [(number of lines, points), ...] of a piece, without what no line covers.

    Whether it is covered long enough to count is a matter of all lines together: where one takes over from
    another, the piece stays hidden. A piece that is hidden whole counts, however short it is.
    """
    over = [[_place(line, point) for line in later] for point in piece]
    if len(piece) == 1:
        count = sum(place is not None for place in over[0])
        return [(count, piece)] if count else []
    found = []
    for k in range(len(piece) - 1):
        count = sum(map(_follows, later, over[k], over[k + 1], [piece[k : k + 2]] * len(later)))
        if found and found[-1][0] == count:
            found[-1][1].append(piece[k + 1])
        else:
            found.append((count, [piece[k], piece[k + 1]]))
    kept = []
    for hidden, group in itertools.groupby(found, key=lambda stretch: stretch[0] > 0):
        stretches = list(group)
        long_enough = stretches[-1][1][-1][0] - stretches[0][1][0][0] >= SHORTEST
        if hidden and (long_enough or stretches == found):
            kept += stretches
    return kept


def _place(pieces, point):
    """Return where a line passes through a point, as (number of the piece, of the point in it), or None.

    A number that is not whole is of a place between two points. What counts is the distance in all
    directions: in height alone, steep lines that touch are far apart.
    """
    found = []
    for number, piece in enumerate(pieces):
        first = max(bisect.bisect_left(piece, (point[0] - NEAR,)) - 1, 0)
        last = bisect.bisect_right(piece, (point[0] + NEAR, math.inf))
        for k in range(first, min(last, max(len(piece) - 1, 1))):
            distance, share = _distance(point, piece[k], piece[min(k + 1, len(piece) - 1)])
            found.append((distance, number, k + share))
    distance, *place = min(found, default=(math.inf,))
    return tuple(place) if distance <= NEAR else None


def _follows(pieces, start, end, segment):
    """Tell whether a line keeps to a segment between the places where it passes through its ends."""
    if start is None or end is None or start[0] != end[0] or start[1] > end[1]:
        return False
    passed = pieces[start[0]][math.ceil(start[1]) : math.floor(end[1]) + 1]
    return all(_distance(point, *segment)[0] <= NEAR for point in passed)


def _distance(point, start, end):
    """Return how far a point is from a segment, and at which share of its length the nearest place lies."""
    along = [b - a for a, b in zip(start, end)]
    square = sum(d * d for d in along)
    share = sum((p - a) * d for p, a, d in zip(point, start, along)) / square if square else 0
    share = min(max(share, 0), 1)
    return math.dist(point, [a + share * d for a, d in zip(start, along)]), share
