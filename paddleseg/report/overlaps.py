"""Where curves lie on one another, so that those drawn first would not be seen."""

import bisect
import itertools
import math

NEAR = 1.0  # pixels between lines of a width of 2 of which one hides most of the other
SHORTEST = 8  # pixels along which lines that merely cross are not near each other


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
    another, the piece stays hidden.
    """
    over = [{number for number, line in enumerate(later) if _near(line, point)} for point in piece]
    if len(piece) == 1:
        return [(len(over[0]), piece)] if over[0] else []
    found = []
    for k in range(len(piece) - 1):
        both = over[k] & over[k + 1]
        count = sum(_between(later[number], piece[k], piece[k + 1]) for number in both)
        if found and found[-1][0] == count:
            found[-1][1].append(piece[k + 1])
        else:
            found.append((count, [piece[k], piece[k + 1]]))
    kept = []
    for hidden, group in itertools.groupby(found, key=lambda stretch: stretch[0] > 0):
        stretches = list(group)
        if hidden and stretches[-1][1][-1][0] - stretches[0][1][0][0] >= SHORTEST:
            kept += stretches
    return kept


def _between(pieces, start, end):
    """Tell whether a line that passes through two points is one piece, and straight, between them."""
    for piece in pieces:
        if piece[0][0] <= start[0] and end[0] <= piece[-1][0]:
            within = [point for point in piece if start[0] < point[0] < end[0]]
            return all(_near([[start, end]], point) for point in within)
    return False


def _near(pieces, point):
    """Tell whether a line passes through a point."""
    x, y = point
    for piece in pieces:
        if piece[0][0] <= x <= piece[-1][0]:
            k = bisect.bisect_left(piece, (x,))
            (x1, y1), (x0, y0) = piece[k], piece[max(k - 1, 0)]
            if x1 == x0:
                return abs(y1 - y) <= NEAR
            # Across the line, since a steep one is far from its neighbour in height alone.
            off = abs((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / math.hypot(x1 - x0, y1 - y0)
            return off <= NEAR
    return False
