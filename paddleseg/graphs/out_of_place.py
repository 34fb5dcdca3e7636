"""Finds models that a static graph changes, since it runs in-place operations out of place."""

import contextlib
import re
import warnings

import paddle

from paddleseg.errors import UserError

_WARNING = re.compile(r"In static graph mode, (\w+)\(\) is the same as .* does not perform inplace operation")
_CLOSE = 1e-3  # of the largest value; a graph rounds otherwise than the model, and sums in another order


@contextlib.contextmanager
def names_of_inplace_calls():
    """Yield a set that collects the names of in-place operations, such as "relu_", traced in this context.

    In a graph they return a new tensor, and their argument stays as it was. This changes nothing for a model
    that goes on with what they return.
    """
    names, show = set(), warnings.showwarning

    def note(message, *more, **named):
        found = _WARNING.match(str(message))
        if found is None:
            show(message, *more, **named)
        else:
            names.add(found[1])

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=_WARNING.pattern)
        warnings.showwarning = note
        yield names


def check_same(names, model, expected, outputs, remedy):
    """Raise `UserError` if a graph's outputs differ from the model's.

    Args:
        names: those of the in-place operations in it.
        model: the layer, for the message.
        expected: what the model gives, tensors in lists.
        outputs: what the graph gives.
        remedy: what to do instead, for the message.
    """
    pairs = list(zip(paddle.utils.flatten(expected), paddle.utils.flatten(outputs)))
    if all(_close(*pair) for pair in pairs):
        return
    raise UserError(
        f"{type(model).__name__} computes something else as a static graph: there {', '.join(sorted(names))} "
        f"returns a new tensor and does not overwrite its own; let the model use what it returns, as in "
        f"y = F.relu_(y), or {remedy}"
    )


def _close(one, other):
    if one.shape != other.shape:
        return False
    one, other = one.astype("float32"), other.astype("float32")
    return float((one - other).abs().max()) <= _CLOSE * max(float(one.abs().max()), 1e-6)
