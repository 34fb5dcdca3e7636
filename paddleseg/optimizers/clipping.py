"""Gradient clipping, as an optimizer's `grad_clip_cfg` describes it."""

import math

import paddle
import paddle.nn as nn

from paddleseg.errors import UserError, suggestion
from paddleseg.utils import signature

# The keys that each takes beside its `name`; those that it cannot do without come first.
KEYS = {
    "ClipGradByNorm": ("clip_norm",),
    "ClipGradByGlobalNorm": ("clip_norm",),
    "ClipGradByValue": ("max", "min"),
}


def check_clipping(cfg):
    """Raise `UserError` unless `cfg` is what `clipping` takes."""
    name = cfg.get("name")
    if not isinstance(name, str) or name not in KEYS:
        raise UserError(f"grad_clip_cfg.name: no {name!r} is known; {suggestion(name, KEYS)}")
    needed, *_ = known = KEYS[name]
    for key, value in cfg.items():
        if key not in ("name", *known):
            raise UserError(f"grad_clip_cfg: unknown key {key!r} of {name}; {suggestion(key, known)}")
        if key != "name" and not (signature.fits(value, float) and math.isfinite(value)):
            raise UserError(f"grad_clip_cfg.{key}: must be a number, not {value!r}")
    if needed not in cfg:
        raise UserError(f"grad_clip_cfg: the key {needed!r} of {name} is missing")
    if needed == "clip_norm" and not cfg["clip_norm"] > 0:
        raise UserError(f"grad_clip_cfg.clip_norm: must be above 0, not {cfg['clip_norm']}")
    if needed == "max" and not cfg["max"] > cfg.get("min", -cfg["max"]):
        told = f"not {cfg.get('min', -cfg['max'])} and {cfg['max']} (min is -max unless said otherwise)"
        raise UserError(f"grad_clip_cfg: min must be below max, {told}")


def clipping(cfg, parameters):
    """Return what Paddle's optimizers take as `grad_clip`; it comes before the weight decay.

    Args:
        cfg: PaddleSeg's dict, checked: {'name': 'ClipGradByNorm', 'clip_norm': c} shortens the gradient of
            each parameter to an L2 norm of c at most, {'name': 'ClipGradByGlobalNorm', 'clip_norm': c} all
            gradients by one factor, so that their common norm is c at most (Pascanu et al., ICML 2013,
            https://arxiv.org/abs/1211.5063), {'name': 'ClipGradByValue', 'max': b, 'min': a} limits each
            number to a..b, a being -b unless said. None clips nothing.
        parameters: the list of all parameters that the optimizer updates, whatever their groups.
    """
    if cfg is None:
        return None
    limits = {key: float(value) for key, value in cfg.items() if key != "name"}
    if cfg["name"] == "ClipGradByGlobalNorm":
        return GlobalNormClip(limits["clip_norm"], parameters)
    return getattr(nn, cfg["name"])(**limits)


class GlobalNormClip(nn.ClipGradByGlobalNorm):
    """Clips by the norm over all parameters, of whatever group.

    Paddle hands the clipping one group of parameters at a time, and its own class, which PaddleSeg uses,
    takes the norm of that group for the global one.

    Args:
        clip_norm: the largest norm, above 0.
        parameters: list of the parameters whose gradients are summed up.
    """

    def __init__(self, clip_norm, parameters):
        super().__init__(clip_norm)
        self.parameters = [p for p in parameters if getattr(p, "need_clip", True)]

    @paddle.no_grad()
    def __call__(self, params_grads):
        """Return the pairs of one group, (parameter, gradient), with the gradients clipped."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return params_grads
        # float16 would overflow.
        norm = paddle.add_n([g.astype("float32").square().sum() for g in gradients]).sqrt()
        factor = self.clip_norm / norm.clip(min=self.clip_norm)
        return [
            (p, g * factor.astype(g.dtype)) if getattr(p, "need_clip", True) else (p, g)
            for p, g in params_grads
        ]
