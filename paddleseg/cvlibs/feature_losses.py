"""The losses between two features, by name: registered ones, else PaddleSlim's, else PaddleSeg's."""

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

ALIASES = {"L2Loss": "MSELoss"}
# Losses of PaddleSlim that normalise over the last axis, which is the width of a feature map.
OVER_LAST_AXIS = {
    "CELoss": "takes the softmax over the width of a feature map; pass axis=1 for its channels",
    "DMLLoss": "takes logarithms of raw features, which is NaN; pass act='softmax', axis=1, or act='sigmoid'",
}


class FeatureLosses:
    """A registry like those of `manager`. Registered losses come before PaddleSlim's of the same name."""

    name = "loss"

    def remedy(self, name):
        """Return what to do about a loss that cannot be had."""
        return manager.remedy(name, self.name, self)

    def __contains__(self, name):
        return name in manager.LOSSES or self.is_paddleslims(name)

    def __getitem__(self, name):
        """Return the class of that name, or raise `UserError` naming the nearest ones."""
        if self.is_paddleslims(name):
            return _paddleslim()[ALIASES.get(name, name)]
        if name not in self:
            raise UserError(f"unknown loss {name!r}: {self.remedy(name)}")
        return manager.LOSSES[name]

    @staticmethod
    def is_paddleslims(name):
        """Tell whether a loss is PaddleSlim's, which comes before one of that name in PaddleSeg's files."""
        return not manager.LOSSES.has_own(name) and ALIASES.get(name, name) in _paddleslim()

    def __iter__(self):
        return iter(sorted({*manager.LOSSES, *_paddleslim(), *ALIASES}))


FEATURE_LOSSES = FeatureLosses()


def _paddleslim():
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS  # takes 2 s, so only where it is needed

    return BASIC_LOSS.module_dict


def misuse(spec):
    """Return why a `{type: ..., ...}` of `FEATURE_LOSSES` cannot compare two features, None if it can."""
    name, act = spec["type"], spec.get("act")
    if not FEATURE_LOSSES.is_paddleslims(name):
        against = getattr(manager.LOSSES[name], "against", "teacher")
        return (
            f"{name} compares logits with the {against}, not two features" if against != "teacher" else None
        )
    over_channels = spec.get("axis") == 1 and (name != "DMLLoss" or act == "softmax")
    if name in OVER_LAST_AXIS and not over_channels and act != "sigmoid":
        return f"{name} of PaddleSlim {OVER_LAST_AXIS[name]}"
    return None
