"""Gradient clipping, which a config describes by an optimizer's `grad_clip_cfg`."""

import math

import paddle
import paddle.nn as nn

from paddleseg.errors import UserError, suggestion
from paddleseg.utils import signature

# The keys that each takes beside its `name`; the first one is required.
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
    known = KEYS[name]
    required = known[0]
    for key, value in cfg.items():
        if key not in ("name", *known):
            raise UserError(f"grad_clip_cfg: unknown key {key!r} of {name}; {suggestion(key, known)}")
        if key != "name" and not (signature.fits(value, float) and math.isfinite(value)):
            raise UserError(f"grad_clip_cfg.{key}: must be a number, not {value!r}")
    if required not in cfg:
        raise UserError(f"grad_clip_cfg: the key {required!r} of {name} is missing")
    if required == "clip_norm" and not cfg["clip_norm"] > 0:
        raise UserError(f"grad_clip_cfg.clip_norm: must be above 0, not {cfg['clip_norm']}")
    if required == "max" and not cfg["max"] > cfg.get("min", -cfg["max"]):
        values = f"{cfg.get('min', -cfg['max'])} and {cfg['max']}"
        raise UserError(f"grad_clip_cfg: min must be below max, not {values} (the default of min is -max)")


def clipping(cfg, parameters):
    """Return what Paddle's optimizers take as `grad_clip`; gradients are clipped before the weight decay.

    Args:
        cfg: PaddleSeg's dict, checked; None clips nothing.
            {'name': 'ClipGradByNorm', 'clip_norm': c} shortens the gradient of each parameter to an L2 norm
            of at most c.
            {'name': 'ClipGradByGlobalNorm', 'clip_norm': c} shortens all gradients by one factor, so that
            their common norm is at most c (Pascanu et al., ICML 2013, https://arxiv.org/abs/1211.5063).
            {'name': 'ClipGradByValue', 'max': b, 'min': a} limits each number to a..b; a is -b by default.
        parameters: the list of all parameters that the optimizer updates, of all groups.
    """
    if cfg is None:
        return None
    limits = {key: float(value) for key, value in cfg.items() if key != "name"}
    if cfg["name"] == "ClipGradByGlobalNorm":
        return GlobalNormClip(limits["clip_norm"], parameters)
    return getattr(nn, cfg["name"])(**limits)


class GlobalNormClip(nn.ClipGradByGlobalNorm):
    """Clips by the norm over all parameters of all groups.

    Paddle passes one group of parameters at a time. Paddle's own class, which PaddleSeg uses, therefore takes
    the norm of one group for the global norm.

    Args:
        clip_norm: the largest norm, above 0.
        parameters: list of the parameters whose gradients make up the norm.
    """

    def __init__(self, clip_norm, parameters):
        super().__init__(clip_norm)
        self.parameters = [p for p in parameters if getattr(p, "need_clip", True)]

    @paddle.no_grad()
    def __call__(self, params_grads):
        """Return the (parameter, gradient) pairs of one group with clipped gradients."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return params_grads
        # In float16 the sum would overflow.
        norm = paddle.add_n([g.astype("float32").square().sum() for g in gradients]).sqrt()
        factor = self.clip_norm / norm.clip(min=self.clip_norm)
        return [
            (p, g * factor.astype(g.dtype)) if getattr(p, "need_clip", True) else (p, g)
            for p, g in params_grads
        ]
