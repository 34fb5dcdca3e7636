"""Tables for the log."""


def aligned(rows):
    """Return rows of text as lines whose columns are aligned: the first to the left, the others to the right.

    Args:
        rows: tuples of text, all of the same length.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))])
        for row in rows
    ]
