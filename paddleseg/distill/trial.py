"""Try a loss on tensors before training: its value, its gradient, and what it does to the tensors."""

import contextlib
import random

import numpy as np
import paddle

from paddleseg.distill.moments import Moment
from paddleseg.errors import UserError, refusals_of_backward

# For each attempt to get a gradient, the noise that is added to the student's and to the teacher's tensor, in
# units of their own spread.
_ATTEMPTS = ((0.1, 0), (1, 0), (1, 1), (10, 10), (1, 100))
_SAMPLES = 4  # for losses on the relations between samples, which two samples are too few for
_DOUBTFUL = 1e-4  # below this, float32 cannot tell a gradient from rounding errors
# For float64: above the gradients that constants such as the 1e-8 added to a norm cause, and below any
# gradient that trains.
_LEAST = 1e-7


def try_loss(loss, student, teacher, label, name, shapes, num_classes=None, batch_size=_SAMPLES, source=None):
    """Raise `UserError` unless a loss gives one finite number with a finite gradient that is not always 0.

    Args:
        loss: maps (student's tensor, teacher's tensor, label) to a scalar.
        student, teacher: the tensors that it compares; the student's must allow a gradient.
        label: as the loss takes it; None for none.
        name: the place and the name of the loss, for messages.
        shapes: the shapes in words, for messages.
        num_classes: the number of classes, for random labels; None if it is unknown. Default None.
        batch_size: samples in a batch of the training. Default 4.
        source: the tensor that `student` was computed from, whose gradient must be finite as well; None for
            `student` itself. Default None.
    """
    source = student if source is None else source
    if not student.is_leaf:
        student.retain_grads()
    teacher_before = Moment(teacher, copied=True)
    value = loss(student, teacher, label)
    if not isinstance(value, paddle.Tensor) or value.size != 1:
        actual = f"shape {list(value.shape)}" if isinstance(value, paddle.Tensor) else type(value).__name__
        raise UserError(f"{name} gives {actual}; a loss must be one number")
    if not np.isfinite(float(value)):
        raise UserError(f"{name} gives {float(value)}: {shapes}; choose another loss or other tensors")
    if teacher_before.overwritten():
        raise UserError(
            f"{name} overwrites the teacher's tensor in place, and other losses may compare the same tensor; "
            f"let the loss compute out of place"
        )
    if not value.stop_gradient:
        with refusals_of_backward():
            value.backward()
    if source.grad is not None and not np.isfinite(source.grad.numpy()).all():
        raise UserError(f"{name} has no finite gradient: {shapes}")
    if source.grad is None or student.grad is None:
        raise UserError(
            f"{name} gives the student no gradient, so it would train nothing: it does not depend on the "
            f"student's tensor: {shapes}"
        )
    if _strength(student, student.grad, value) > _DOUBTFUL:
        return
    tensors, random_state = (student.detach(), teacher.detach()), generator_states()
    gives = _gives_gradient(loss, tensors, label, num_classes, min(batch_size, _SAMPLES))
    set_generators(random_state)
    if not gives:
        raise UserError(
            f"{name} gives the student no gradient, so it would train nothing: it is the same for any values "
            f"of these tensors: {shapes}; choose another loss or other tensors"
        )


def _strength(tensor, gradient, value):
    """Return how much a loss changes with the spread of a tensor, relative to its value or, if larger, 1."""
    change = float(gradient.astype("float64").abs().sum()) * _spread(tensor)
    return change / max(1.0, abs(float(value)))


def _spread(tensor):
    """Return the standard deviation of a tensor; where all its values are equal, their size, or 1."""
    values = tensor.detach().numpy().astype("float64")
    return float(values.std()) or float(np.abs(values).max()) or 1.0


def _gives_gradient(loss, tensors, label, num_classes, samples):
    """Return whether a loss has a gradient for any of several changes of the tensors.

    A loss may be at its minimum, such as that of a student that equals its teacher; it may compare samples,
    of which the trial has but two; or it may leave out the pixels of these labels or this teacher.
    """
    rng = np.random.default_rng(0)
    count = max(samples, tensors[0].shape[0])
    for attempt, scales in enumerate(_ATTEMPTS):
        changed = [_changed(*pair, count, rng) for pair in zip(tensors, scales)]
        classes = num_classes if attempt else None
        new_label = _changed_label(label, tensors[0].shape[0], count, classes, rng)
        # None, where it cannot be computed, counts as a gradient: a loss that works must not be refused.
        if _has_gradient(loss, changed, new_label) is not False:
            return True
    return False


def _has_gradient(loss, tensors, label):
    """Return whether a loss has a gradient for NumPy's tensors; None where it cannot be computed."""
    for dtype, least in (("float64", _LEAST), ("float32", 0)):
        student, teacher = (paddle.to_tensor(tensor.astype(dtype)) for tensor in tensors)
        student.stop_gradient = False
        try:
            value = loss(student, teacher, label)
            gradient = paddle.grad(value, student)[0]
        except Exception:  # the loss may take float32 alone, or just so many samples
            continue
        strength = _strength(student, gradient, value)
        return strength > least if np.isfinite(strength) else None
    return None


def _changed(tensor, scale, count, rng):
    """Return `count` samples of a tensor with noise of `scale` times its spread, as NumPy's array."""
    values = _repeated(tensor.numpy().astype("float64"), count)
    return values + scale * _spread(tensor) * rng.standard_normal(values.shape)


def _changed_label(label, num_samples, count, num_classes, rng):
    """Return the label of `num_samples` samples, repeated to `count`; random if `num_classes` is given."""
    if label is None:
        return None
    values = label.numpy()
    values = _repeated(values, count) if len(values) == num_samples else values
    if num_classes is not None:
        values = rng.integers(0, num_classes, values.shape).astype(values.dtype)
    return paddle.to_tensor(values)


def _repeated(values, count):
    return values[np.arange(count) % len(values)]


@contextlib.contextmanager
def restored(loss):
    """Restore the state of a loss at the end of this context, and remove the gradients of its parameters."""
    is_layer = isinstance(loss, paddle.nn.Layer)
    state = {key: value.clone() for key, value in loss.state_dict().items()} if is_layer else {}
    try:
        yield
    finally:
        if is_layer:
            loss.set_state_dict(state)
            for parameter in loss.parameters():
                parameter.clear_gradient(False)  # to None: with zeros an optimizer could move the parameter


def generator_states():
    """Return the states of all generators of random numbers, for `set_generators`."""
    return paddle.get_rng_state(), np.random.get_state(), random.getstate()


def set_generators(states):
    """Set the states of all generators of random numbers to what `generator_states` returned."""
    of_paddle, of_numpy, of_python = states
    paddle.set_rng_state(of_paddle)
    np.random.set_state(of_numpy)
    random.setstate(of_python)
