"""Feature distillation: a weighted loss between a tensor of the student and one of the teacher."""

from paddleseg.cvlibs import manager, signature
from paddleseg.distill.distill_file import KEYS
from paddleseg.errors import UserError, suggestion

# Losses of PaddleSlim on the relations between the samples of a batch: of two, every distance is their mean.
BETWEEN_SAMPLES = ("RKDLoss", "RKdAngle", "RkdDistance")
# Losses of PaddleSlim that normalise over the last axis, which is the width of a feature map.
OVER_LAST_AXIS = {
    "CELoss": "takes the softmax over the width of a feature map; pass axis=1 for its channels",
    "DMLLoss": "takes logarithms of raw features, which is NaN; pass act='softmax', axis=1, or act='sigmoid'",
}
ALIASES = {"L2Loss": "MSELoss"}


class FeatureLoss:
    """One entry of `prepare_distill_config()`.

    Args:
        feature: the dict, checked by `distill_file.check_features`.

    Attributes:
        student_tap, teacher_tap: names of the two tensors, such as "hidden_0".
        name: what the log calls it, such as "hidden_0_SegChannelwiseLoss".

    Raises:
        UserError: the loss does not exist, refuses its arguments, or does not compare features.
    """

    def __init__(self, feature):
        kind = feature["feature_type"]
        self.student_tap = f"{kind}_{feature['s_feature_idx']}"
        self.teacher_tap = f"{kind}_{feature['t_feature_idx']}"
        self.loss_name = feature["loss_function"]
        self.name = f"{self.student_tap}_{self.loss_name}"
        self.weight = feature["weight"]
        arguments = {key: value for key, value in feature.items() if key not in KEYS}
        self.loss = build_feature_loss(self.loss_name, arguments)

    def __call__(self, student_taps, teacher_taps):
        """Return weight * loss, a scalar tensor, of {name: tensor} of both models."""
        student = student_taps[self.student_tap]
        return self.weight * self.loss(student, teacher_taps[self.teacher_tap].detach())


def unique_names(feature_losses):
    """Give losses that share a name an index, so that each is logged apart; return the same list."""
    names = [loss.name for loss in feature_losses]
    for i, loss in enumerate(feature_losses):
        if names.count(names[i]) > 1:
            loss.name = f"{names[i]}_{names[:i].count(names[i])}"
    return feature_losses


def check_batch_size(feature_losses, batch_size):
    """Raise `UserError` for a loss that is always 0 with so few samples in a process's batch."""
    for loss in feature_losses:
        if loss.loss_name in BETWEEN_SAMPLES and batch_size < 3:
            raise UserError(
                f"{loss.name} compares the samples of a batch with one another and is 0 for fewer than "
                f"three; batch_size is {batch_size}"
            )


def build_feature_loss(name, arguments):
    """Build a loss by name: one of this project or of a user's, else one of PaddleSlim's.

    Args:
        name: class name.
        arguments: dict of what it is constructed with.

    Raises:
        UserError: as in `FeatureLoss`.
    """
    if name in manager.LOSSES:
        component = manager.LOSSES[name]
        if getattr(component, "against", "teacher") != "teacher":
            raise UserError(f"loss_function {name!r} compares logits with labels, not two features")
        known = [n for n, p in signature.parameters(component).items() if p.kind is not p.VAR_KEYWORD]
        unknown = [key for key in arguments if not signature.accepts(component, key)]
        if unknown:
            meant = suggestion(unknown[0], known)
            raise UserError(f"loss_function {name!r} takes no {unknown[0]!r}; {meant}")
    else:
        component = _from_paddleslim(name, arguments)
    try:
        return component(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"loss_function {name!r} refuses {arguments}: {error}") from error


def _from_paddleslim(name, arguments):
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS  # 2 s, so only where it is needed

    theirs = BASIC_LOSS.module_dict
    name = ALIASES.get(name, name)
    if name not in theirs:
        options = [*manager.LOSSES, *theirs, *ALIASES]
        raise UserError(f"unknown loss_function {name!r}: {suggestion(name, options)}")
    over_channels = arguments.get("axis") == 1 and (name != "DMLLoss" or arguments.get("act") == "softmax")
    if name in OVER_LAST_AXIS and not over_channels and arguments.get("act") != "sigmoid":
        raise UserError(f"loss_function {name!r} of PaddleSlim {OVER_LAST_AXIS[name]}")
    return theirs[name]
