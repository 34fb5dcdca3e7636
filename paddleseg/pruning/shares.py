"""How much each layer loses: the same share, or more where it matters less."""

import numpy as np

from paddleseg.errors import UserError
from paddleseg.evaluation import cost
from paddleseg.utils.logger import logger

MEASURED_SHARES = (0.2, 0.4, 0.6, 0.8)
TOLERANCE = 0.05  # of the share of operations
STEPS = 16
TIES = 1e-3  # mIoU that all filters of a layer cost, so that layers without a loss lose equal shares


def sensitivities(filters, evaluate):
    """Return {layer: the mIoU lost with each of `MEASURED_SHARES` of its filters}, all other layers whole.

    Args:
        filters: `Filters`.
        evaluate: `evaluate() -> mIoU` of their model.
    """
    whole, losses = evaluate(), {}
    for number, name in enumerate(filters.counts, 1):
        losses[name] = []
        for share in MEASURED_SHARES:
            with filters.removed({name: share}):
                losses[name].append(whole - evaluate())
        shown = ", ".join(f"{-loss:+.4f}" for loss in losses[name])
        logger.info(f"sensitivity of layer {number}/{len(filters.counts)}, {name}: mIoU {shown}")
    return losses


def chosen_shares(filters, model, shape, ratio, losses=None):
    """Return {layer: share of its filters} with which a model loses a share of its operations.

    Args:
        filters: `Filters` of the model.
        model: a `paddle.nn.Layer`.
        shape: of the input whose operations are counted, [N, C, H, W].
        ratio: the share of the operations to remove.
        losses: what `sensitivities` returns; None gives all layers the same share. Default None.

    Raises:
        UserError: so many operations cannot be removed.
    """
    full = _flops(model, shape)

    def removed(strength):
        with filters.removed(_shares(filters, strength, losses)):
            return 1 - _flops(model, shape) / full

    most = removed(1.0)
    if most < ratio - TOLERANCE:
        raise UserError(
            f"pruning_ratio {ratio}: at most {most:.3f} of the operations of {type(model).__name__} can be "
            f"removed, because PaddleSlim leaves the filters before some operations, such as concatenations; "
            f"give a smaller one, or take a narrower student"
        )
    low, high, found = 0.0, 1.0, {1.0: most}
    for _ in range(STEPS):
        middle = (low + high) / 2
        found[middle] = removed(middle)
        low, high = (middle, high) if found[middle] < ratio else (low, middle)
    best = min(found, key=lambda strength: abs(found[strength] - ratio))
    if abs(found[best] - ratio) > TOLERANCE:
        raise UserError(
            f"pruning_ratio {ratio}: the nearest share of the operations that can be removed is "
            f"{found[best]:.3f}; give that, or a smaller align"
        )
    return _shares(filters, best, losses)


def _shares(filters, strength, losses):
    """Return {layer: share} for a strength from 0 to 1.

    The strength is the share itself or, with `losses`, the mIoU that each layer may cost.
    """
    if losses is None:
        return dict.fromkeys(filters.counts, strength)
    points = (0.0, *MEASURED_SHARES)
    return {
        name: float(
            np.interp(strength, np.maximum.accumulate([0.0, *lost]) + TIES * np.array(points), points)
        )
        for name, lost in losses.items()
    }


def _flops(model, shape):
    return cost.measure(model, shape, repeats=0)["total"].flops
