"""Tokens N x L x C of transformers as maps N x C x H x W, by the grid on which the tokens lie."""

import paddle

from paddleseg.errors import UserError, counted

AUTO_GRID = "auto"
# A class token and four registers, as some vision transformers put before the tokens of the image.
MOST_PREFIX_TOKENS = 5


def are_tokens(shape):
    """Return whether a tensor of this shape may hold tokens, N x L x C."""
    return len(shape) == 3


def as_map(tokens, grid, skip, place):
    """Return tokens as a map.

    Args:
        tokens: N x L x C, row by row; L is `skip` + H * W. In a static graph N and L may be unknown.
        grid: (H, W), numbers or, in a static graph, tensors.
        skip: how many prefix tokens, such as a class token, are dropped.
        place: where the grid is stated, for messages.

    Returns:
        N x C x H x W.

    Raises:
        UserError: L is another number.
    """
    if paddle.in_dynamic_mode():
        grid = tuple(map(int, grid))
        _check_length(tokens.shape, grid, skip, place)
    tokens = tokens[:, skip:] if skip else tokens
    # A 0 stands for the size that the tensor has at this place.
    return tokens.transpose([0, 2, 1]).reshape([0, 0, *grid])


def _check_length(shape, grid, skip, place):
    length, (height, width) = shape[1], grid
    if length == skip + height * width:
        return
    left = length - height * width
    prefix = f" and skip {skip}" if skip else ""
    remedy = "name the grid of these tokens"
    if not left:
        remedy = "leave out `skip`"
    elif 0 < left <= MOST_PREFIX_TOKENS:
        remedy = f"`skip: {left}` drops {counted(left, 'prefix token')}"
    raise UserError(
        f"{place}: the tensor is {list(shape)}, and its {length} tokens are not those of the grid "
        f"{height} x {width}{prefix}; {remedy}"
    )


def grids_of_images(length, size):
    """Return the grids (H, W) that tokens of images of a size may have: those of one stride for both sides.

    Args:
        length: the number of tokens without prefix tokens.
        size: (height, width) of the images.

    Returns:
        A sorted list. A side is the image's divided by the stride, rounded up or down.
    """
    found = set()
    for stride in range(1, max(size) + 1):
        heights, widths = ({side // stride, -(-side // stride)} for side in size)
        found |= {(h, w) for h in heights for w in widths if h * w == length}
    return sorted(found)


def auto_grid(shape, size, skip, place):
    """Return the grid (H, W) of tokens of this shape, N x L x C, from the size of the images.

    Args:
        shape: of the tokens, with their prefix tokens.
        size: (height, width) of the images.
        skip, place: as in `as_map`.

    Raises:
        UserError: no grid, or more than one, has so many tokens.
    """
    found = grids_of_images(shape[1] - skip, size)
    if len(found) == 1:
        return found[0]
    images = " x ".join(map(str, size))
    if found:
        choice = " or ".join(f"[{h}, {w}]" for h, w in found)
        raise UserError(
            f"{place}: {shape[1] - skip} tokens of images of {images} may be {choice}; state `grid: [h, w]`"
        )
    guess = prefixed_grid(shape[1], size)
    remedy = "state `grid: [h, w]`"
    if guess:
        remedy = f"`skip: {guess[0]}` would leave {guess[1][0]} x {guess[1][1]}"
    raise UserError(
        f"{place}: the tensor is {list(shape)}, and no grid of images of {images} has {shape[1] - skip} "
        f"tokens; {remedy}"
    )


def prefixed_grid(length, size):
    """Return (skip, grid) of the fewest prefix tokens with which tokens have a grid; None without one.

    None, too, where several grids have so many tokens.
    """
    for skip in range(min(MOST_PREFIX_TOKENS, length - 1) + 1):
        found = grids_of_images(length - skip, size)
        if found:
            return (skip, found[0]) if len(found) == 1 else None
    return None


def stated_grid(layer):
    """Return the `grid` (H, W) that a layer's forward has left on it, None where it is no such pair."""
    grid = getattr(layer, "grid", None)
    if not isinstance(grid, (list, tuple)) or len(grid) != 2:
        return None
    numbers = all(isinstance(side, int) or paddle.is_tensor(side) for side in grid)
    return tuple(grid) if numbers else None
