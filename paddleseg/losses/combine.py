"""A config's `loss` or `distill_loss` section at work: one weighted loss for each output of the model."""

import inspect

import paddle

from paddleseg.errors import UserError, counted
from paddleseg.losses.common import full_precision, widen
from paddleseg.losses.labels import outside_classes_error


def weighted_losses(section, outputs, label=None):
    """Return the losses of a section by name, each times its coefficient.

    Args:
        section: {'types': [loss, ...], 'coef': [number, ...]}, one for each output; or with 'outputs', the
            number of the output of each loss.
        outputs: for each output, the tuple of tensors that its loss compares: (logits,) with the label, or
            (student's logits, teacher's logits).
        label: N x H x W, int64, for the losses that take one; see `compare`. If the outputs differ in size,
            a list of one label for each output. Default None.

    Returns:
        dict from the loss's class name (with its index, if an earlier loss has that name) to a scalar tensor.

    Raises:
        UserError: there are more or fewer losses than outputs.
    """
    types, coef = section["types"], section["coef"]
    labels = label if isinstance(label, list) else [label] * len(outputs)
    outputs, labels = compared(section, outputs), compared(section, labels)
    check_loss_count(types, outputs)
    losses = {}
    for i, (loss, factor, tensors, own_label) in enumerate(zip(types, coef, outputs, labels)):
        name = loss_name(loss)
        _check_tensors(loss, tensors, i)
        value = compare(loss, tensors, own_label)
        if value.size != 1:
            raise UserError(f"{name} gives a tensor of shape {list(value.shape)}; a loss must be one number")
        losses[f"{name}_{i}" if name in losses else name] = factor * value
    return losses


def _check_tensors(loss, tensors, index):
    """Raise `UserError` if a loss of this project is given an output that is no tensor; see `output_list`."""
    for output in tensors:
        if hasattr(loss, "against") and not paddle.is_tensor(output):
            raise UserError(
                f"output {index} of the model is a {type(output).__name__} for a loss of its own, but the "
                f"config names {type(loss).__name__}, which takes a tensor of logits"
            )


def compared(section, outputs):
    """Return the items of `outputs` that the losses of a section compare, one for each loss.

    Raises:
        UserError: a loss is for an output that is not there.
    """
    chosen = section.get("outputs")
    if chosen is None:
        return outputs
    if max(chosen, default=-1) >= len(outputs):
        raise UserError(
            f"a loss is for output {max(chosen)}, and there are {counted(len(outputs), 'output')}"
        )
    return [outputs[i] for i in chosen]


def num_compared(section):
    """Return the number k, where the losses of a section compare the first k outputs."""
    return (
        len(section["types"]) if section.get("outputs") is None else max(section["outputs"], default=-1) + 1
    )


def loss_name(loss):
    """Return the name of a loss in logs: that of its class, or of itself if it is a function."""
    return getattr(loss, "__name__", None) or type(loss).__name__


def check_loss_count(types, outputs):
    """Raise `UserError` unless there is a loss for each of the outputs; see `weighted_losses`."""
    if len(types) != len(outputs):
        names = ", ".join(map(loss_name, types))
        compared = bool(outputs) and len(outputs[0]) > 1
        subject = "student and teacher share" if compared else "the model has"
        raise UserError(
            f"{subject} {counted(len(outputs), 'output')} and the config {counted(len(types), 'loss')} for "
            f"them ({names}); there must be one for each"
        )


@full_precision
def compare(loss, tensors, label=None):
    """Return the value of a loss, built-in or a user's own, computed in float32 under any precision.

    In a batch, images without labels may follow the labelled ones. A loss of one tensor, or one with the
    attribute `needs_label`, gets the labelled images alone. Any other gets all images; if it uses the label
    to leave out ignored pixels, every pixel of an image without a label is valid.

    Args:
        loss: called with the tensors, and with the label as the last argument if it takes one.
        tensors: each N x ...
        label: M x ..., int64, of the first M <= N samples; None if there is none.

    Raises:
        UserError: a loss of Paddle refuses the label, since it has another height or width than the first
            tensor, or holds more classes than that has channels.
    """
    tensors = [_widened(tensor) for tensor in tensors]
    if not takes_label(loss, len(tensors)):
        return loss(*tensors)
    if label is None or not paddle.is_tensor(tensors[0]):
        return loss(*tensors, label)
    count = tensors[0].shape[0]
    if label.shape[0] == count:
        return _with_label(loss, tensors, label)
    if len(tensors) == 1 or getattr(loss, "needs_label", False):
        return _with_label(loss, [tensor[: label.shape[0]] for tensor in tensors], label)
    # Any valid class will do, as the label serves as a mask only.
    valid = 0 if getattr(loss, "ignore_index", 255) != 0 else 1
    rest = paddle.full([count - label.shape[0], *label.shape[1:]], valid, label.dtype)
    return _with_label(loss, tensors, paddle.concat([label, rest]))


def _with_label(loss, tensors, label):
    try:
        return loss(*tensors, label)
    except (IndexError, ValueError) as error:
        size, classes, ignore_index = label.shape[1:], tensors[0].shape[1], getattr(loss, "ignore_index", 255)
        if size != tensors[0].shape[2:]:
            shapes = f"{list(tensors[0].shape)}, and the label {list(label.shape)}"
            raise UserError(f"{loss_name(loss)}: the logits have the shape {shapes}") from error
        outside = (label != ignore_index) & ((label < 0) | (label >= classes))
        if not bool(outside.any()):
            raise
        raise outside_classes_error(label, classes, ignore_index) from error


def _widened(output):
    """Return an output of a model with its float16 and bfloat16 tensors as float32."""
    if isinstance(output, dict):
        return {key: _widened(value) for key, value in output.items()}
    return list(map(_widened, output)) if isinstance(output, (list, tuple)) else widen(output)


def add_losses(losses, more, prefix):
    """Add `more` to the dict `losses` in place; a name that is taken gets `prefix`, so that none is lost."""
    for name, value in more.items():
        while name in losses:
            name = prefix + name
        losses[name] = value


def takes_label(loss, num_tensors):
    """Return whether `loss` can be called with one argument more than the tensors that it compares."""
    parameters = inspect.signature(loss.forward if hasattr(loss, "forward") else loss).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > num_tensors


def output_list(outputs, nested=False):
    """Return a model's outputs as a list; a bare tensor is a list of one.

    Args:
        outputs: what the model returns.
        nested: whether an output may also be a list or a dict of tensors, for a loss that takes it, as in
            PaddleSeg's PointRend. Default False.

    Raises:
        UserError: the model returns something else.
    """
    listed = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    wrong = [
        type(item).__name__ for item in listed if not (nested and _is_nested(item) or paddle.is_tensor(item))
    ]
    if wrong or not listed:
        actual = wrong[0] if wrong else "an empty list"
        raise UserError(f"a model must return a tensor or a list of tensors of logits, not {actual}")
    return listed


def _is_nested(output):
    """Tell whether an output is a list or dict of tensors, one at least."""
    parts = list(output.values()) if isinstance(output, dict) else output
    return isinstance(output, (list, tuple, dict)) and bool(parts) and all(map(paddle.is_tensor, parts))
