"""Checks of the parameters of architectures and backbones."""

import math

from paddleseg.errors import UserError

_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}


def map_channels(backbone):
    """Return the channels of each of the backbone's feature maps; raise `UserError` for another layer."""
    channels = getattr(backbone, "feat_channels", None)
    if channels is None:
        raise UserError(
            f"{type(backbone).__name__} is no backbone: it has no feat_channels, a list of the channels of "
            f"each feature map that it returns"
        )
    return channels


def stage_channels(backbone, indices, fewest, most=None):
    """Return the channels of the backbone's feature maps that `backbone_indices` names.

    Args:
        backbone: a layer with `feat_channels`, one number for each map that it returns.
        indices: which of them; negative ones count from the end.
        fewest: the smallest number of indices, 1 to 4.
        most: the largest one; `math.inf` for any, None (the default) for `fewest`.

    Raises:
        UserError: the number of indices is wrong, the backbone does not have one of them, or the layer is no
            backbone.
    """
    channels = map_channels(backbone)
    stages = len(channels)
    most = fewest if most is None else most
    if not fewest <= len(indices) <= most or not all(-stages <= i < stages for i in indices):
        number = _NUMBERS[fewest]
        if most != fewest:
            number = f"at least {number}" if most == math.inf else f"{number} or {_NUMBERS[most]}"
        raise UserError(
            f"backbone_indices must be {number} of the backbone's {stages} stages, from 0 to {stages - 1}, "
            f"not {list(indices)}"
        )
    return [channels[i] for i in indices]


def check_counts(name, value):
    """Raise `UserError` unless a parameter holds whole numbers above 0: one, or a list of them."""
    if isinstance(value, (list, tuple)):
        if any(item < 1 for item in value):
            raise UserError(f"{name} must hold whole numbers above 0, not {list(value)}")
    elif value < 1:
        raise UserError(f"{name} must be a whole number above 0, not {value}")


def check_bins(name, bins):
    """Raise `UserError` unless `bins` holds at least one whole number, all above 0."""
    if not bins:
        raise UserError(f"{name} must hold at least one size")
    check_counts(name, bins)


def check_dropout(name, value):
    """Raise `UserError` unless a dropout rate is 0 or above and below 1."""
    if not 0 <= value < 1:
        raise UserError(f"{name} must be 0 or above and below 1, not {value}")
