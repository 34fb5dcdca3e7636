"""Groups of parameters, each with its own learning rate and weight decay."""

import math

from paddleseg.errors import UserError, nearest, suggestion
from paddleseg.utils import signature
from paddleseg.utils.logger import logger

FACTORS = ("lr_mult", "weight_decay_mult")
# A misspelling in PaddleSeg's published configs, which PaddleSeg ignores: their results are without it.
IGNORED = "lr_multi"


def check_custom_cfg(custom_cfg):
    """Raise `UserError` unless `custom_cfg` is what `parameter_groups` takes."""
    for i, item in enumerate(custom_cfg):
        here = f"custom_cfg.{i}"
        if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
            raise UserError(f"{here}: must hold a `name`, a part of the parameters' names, not {item!r}")
        for key, value in item.items():
            if key not in ("name", IGNORED, *FACTORS):
                raise UserError(f"{here}: unknown key {key!r}; {suggestion(key, ('name', *FACTORS))}")
            if key != "name" and not (signature.fits(value, float) and 0 <= value < math.inf):
                raise UserError(f"{here}.{key}: must be a number of 0 or above, not {value!r}")


def warn_of_ignored(custom_cfg):
    """Warn of an `lr_multi`, which has no effect, here and in PaddleSeg."""
    for i, item in enumerate(custom_cfg):
        if IGNORED in item:
            logger.warning(
                f"optimizer.custom_cfg.{i}: {IGNORED} has no effect, as in PaddleSeg; the key is lr_mult"
            )


def parameter_groups(layer, weight_decay=None, custom_cfg=None, decay_norm_and_bias=True):
    """Return the trained parameters of a layer as Paddle's optimizers take them.

    Args:
        layer: a `paddle.nn.Layer`; its parameters without gradient are left out.
        weight_decay: the optimizer's coefficient, or None.
        custom_cfg: PaddleSeg's list of {'name': part of a parameter's name, 'lr_mult': factor of the
            learning rate, 'weight_decay_mult': factor of the weight decay}, checked. The first item whose
            `name` occurs in a parameter's name applies to it. Without an `lr_mult` the parameter keeps the
            factor that its model gave it, usually 1; `weight_decay_mult` is 1 by default.
        decay_norm_and_bias: False frees the scales and shifts of norms, and biases, from weight decay: every
            parameter with at most one axis or with a name that ends with "bias". Default True.

    Returns:
        A list of parameters if all are treated alike, else a list of groups {'params': [...],
        'learning_rate': factor, 'weight_decay': coefficient}, none of them empty.

    Raises:
        UserError: an item applies to no parameter.
    """
    trained = [(name, p) for name, p in layer.named_parameters() if not p.stop_gradient]
    if not custom_cfg and decay_norm_and_bias:
        return [p for _, p in trained]
    custom_cfg = custom_cfg or []
    items = [next((item for item in custom_cfg if item["name"] in name), {}) for name, _ in trained]
    _check_all_apply(custom_cfg, items, [name for name, _ in trained])
    groups = {}
    for (name, p), item in zip(trained, items):
        own_factor = p.optimize_attr.get("learning_rate", 1.0)
        options = {"learning_rate": float(item.get("lr_mult", own_factor))}
        if weight_decay is not None:
            decays = decay_norm_and_bias or not (p.ndim <= 1 or name.endswith("bias"))
            options["weight_decay"] = float(weight_decay * item.get("weight_decay_mult", 1.0)) * decays
        groups.setdefault(tuple(options.values()), {"params": [], **options})["params"].append(p)
    return list(groups.values())


def _check_all_apply(custom_cfg, items, names):
    """Raise `UserError` for an item of `custom_cfg` that is not among `items`, those of the parameters."""
    for i, item in enumerate(custom_cfg):
        if any(applied is item for applied in items):
            continue
        here = f"custom_cfg.{i}: the name {item['name']!r}"
        if any(item["name"] in name for name in names):
            raise UserError(f"{here} fits only parameters to which an item above applies; move it up")
        raise UserError(f"{here} is part of no trained parameter's name; {_similar(item['name'], names)}")


def _similar(wanted, names):
    """Return a clause that names the layers that resemble `wanted`, else the model's outermost layers."""
    paths = [name.split(".") for name in names]
    layers = {".".join(path[:depth]) for path in paths for depth in range(1, len(path))}
    return suggestion(wanted, layers if nearest(wanted, layers) else {path[0] for path in paths})
