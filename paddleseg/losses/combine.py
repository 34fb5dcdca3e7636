"""A config's `loss` or `distill_loss` section at work: one weighted loss for each output of the model."""

import inspect

import paddle

from paddleseg.errors import UserError, counted
from paddleseg.losses.common import full_precision, widen


def weighted_losses(section, outputs, label=None):
    """Return the losses of a section by name, each times its coefficient.

    Args:
        section: {'types': [loss, ...], 'coef': [number, ...]}, one for each output.
        outputs: for each output, the tuple of tensors that its loss compares: (logits,) with the label, or
            (student's logits, teacher's logits).
        label: N x H x W, int64; handed to those losses that take one more argument, as `compare` says. A
            list holds one for each output.

    Returns:
        dict from the loss's class name (with its index, where a name comes twice) to a scalar tensor.

    Raises:
        UserError: there are more or fewer losses than outputs.
    """
    types, coef = section["types"], section["coef"]
    check_count(types, outputs)
    labels = label if isinstance(label, list) else [label] * len(outputs)
    parts = {}
    for i, (loss, factor, tensors, own_label) in enumerate(zip(types, coef, outputs, labels)):
        name = type(loss).__name__
        value = compare(loss, tensors, own_label)
        if value.size != 1:
            raise UserError(f"{name} gives a tensor of shape {list(value.shape)}; a loss must be one number")
        parts[f"{name}_{i}" if name in parts else name] = factor * value
    return parts


def check_count(types, outputs):
    """Raise `UserError` unless there is a loss for each of the outputs, which are as in `weighted_losses`."""
    if len(types) != len(outputs):
        names = ", ".join(type(loss).__name__ for loss in types)
        compared = bool(outputs) and len(outputs[0]) > 1
        told = "student and teacher share" if compared else "the model has"
        raise UserError(
            f"{told} {counted(len(outputs), 'output')} and the config {counted(len(types), 'loss')} for "
            f"them ({names}); there must be one for each"
        )


@full_precision
def compare(loss, tensors, label=None):
    """Return what a loss, a user's own as well, says of some tensors, and of the label if it takes one.

    It computes in float32 under any precision.

    A batch may hold images without labels behind the labelled ones. A loss of one tensor, or one with the
    attribute `needs_label`, sees the labelled part alone. Any other sees all; if it takes a label, by which
    it may leave out ignored pixels, an image without one has no pixel to leave out.

    Args:
        loss: called with the tensors, and with the label as the last argument if it can be.
        tensors: each N x ...
        label: M x ..., int64, of the first M <= N samples; None if there is none.
    """
    tensors = [widen(tensor) for tensor in tensors]
    if not takes_label(loss, len(tensors)):
        return loss(*tensors)
    count = tensors[0].shape[0]
    if label is None or label.shape[0] == count:
        return loss(*tensors, label)
    if len(tensors) == 1 or getattr(loss, "needs_label", False):
        return loss(*(tensor[: label.shape[0]] for tensor in tensors), label)
    # Any class will do where the label serves as a mask only.
    kept = 0 if getattr(loss, "ignore_index", 255) != 0 else 1
    rest = paddle.full([count - label.shape[0], *label.shape[1:]], kept, label.dtype)
    return loss(*tensors, paddle.concat([label, rest]))


def merge_parts(parts, more, prefix):
    """Add losses to a dict of losses; one whose name is taken gets `prefix`, so that none is lost."""
    for name, value in more.items():
        while name in parts:
            name = prefix + name
        parts[name] = value


def takes_label(loss, num_tensors):
    """Tell whether `loss` can be called with one argument more than the tensors that it compares."""
    known = inspect.signature(loss.forward if hasattr(loss, "forward") else loss).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in known):
        return True
    positional = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > num_tensors


def output_list(outputs):
    """Return a model's outputs as a list; a bare tensor is a list of one.

    Raises:
        UserError: the model returns something else.
    """
    listed = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    wrong = [type(item).__name__ for item in listed if not paddle.is_tensor(item)]
    if wrong or not listed:
        told = wrong[0] if wrong else "an empty list"
        raise UserError(f"a model must return a tensor or a list of tensors of logits, not {told}")
    return listed
