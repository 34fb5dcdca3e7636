"""Maps as tokens, as transformers compute them, and tokens as maps.

A layer whose output is tokens, N x L x C, says where they lie in the image: `forward` leaves `grid = (h, w)`
on that layer, or on a layer around it, with h * w = L and the tokens row by row.
"""


def to_tokens(x):
    """Return a map, N x C x h x w, as tokens N x (h * w) x C, row by row."""
    return x.flatten(2).transpose([0, 2, 1])


def to_map(tokens, grid):
    """Return tokens, N x L x C, as a map N x C x h x w.

    Args:
        tokens: the tensor.
        grid: (h, w), with h * w = L.
    """
    return tokens.transpose([0, 2, 1]).reshape([0, 0, *grid])
