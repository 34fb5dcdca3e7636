"""Where curves lie on one another, so that those drawn first would not be seen."""

import bisect

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
    """Return the [(number of lines, points), ...] of a piece, without what no line covers."""
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
    return [(count, points) for count, points in found if count and points[-1][0] - points[0][0] >= SHORTEST]


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
            height = y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
            return abs(height - y) <= NEAR
    return False
