"""The losses between two features, by name: this project's and users', else PaddleSlim's."""

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError, suggestion

ALIASES = {"L2Loss": "MSELoss"}
# Losses of PaddleSlim that normalise over the last axis, which is the width of a feature map.
OVER_LAST_AXIS = {
    "CELoss": "takes the softmax over the width of a feature map; pass axis=1 for its channels",
    "DMLLoss": "takes logarithms of raw features, which is NaN; pass act='softmax', axis=1, or act='sigmoid'",
}


class FeatureLosses:
    """A registry like those of `manager`. Registered losses come before PaddleSlim's of the same name."""

    name = "loss"

    def __contains__(self, name):
        return name in manager.LOSSES or ALIASES.get(name, name) in _paddleslim()

    def __getitem__(self, name):
        """Return the class of that name, or raise `UserError` naming the nearest ones."""
        if name in manager.LOSSES:
            return manager.LOSSES[name]
        if name not in self:
            raise UserError(f"unknown loss {name!r}: {suggestion(name, self)}")
        return _paddleslim()[ALIASES.get(name, name)]

    def __iter__(self):
        return iter(sorted({*manager.LOSSES, *_paddleslim(), *ALIASES}))


FEATURE_LOSSES = FeatureLosses()


def _paddleslim():
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS  # takes 2 s, so only where it is needed

    return BASIC_LOSS.module_dict


def misuse(spec):
    """Return why a `{type: ..., ...}` of `FEATURE_LOSSES` cannot compare two features, None if it can."""
    name, act = spec["type"], spec.get("act")
    if name in manager.LOSSES:
        against = getattr(manager.LOSSES[name], "against", "teacher")
        return (
            f"{name} compares logits with the {against}, not two features" if against != "teacher" else None
        )
    over_channels = spec.get("axis") == 1 and (name != "DMLLoss" or act == "softmax")
    if name in OVER_LAST_AXIS and not over_channels and act != "sigmoid":
        return f"{name} of PaddleSlim {OVER_LAST_AXIS[name]}"
    return None
