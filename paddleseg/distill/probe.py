"""One forward pass of all models before training, so that what does not fit is said at once."""

import contextlib
import random
from dataclasses import dataclass

import numpy as np
import paddle

from paddleseg.distill.features import FeatureLoss, told_shapes, unique_names
from paddleseg.distill.outputs import counterparts, left_at_head, smallest_size
from paddleseg.errors import UserError, suggestion
from paddleseg.losses.combine import output_list
from paddleseg.utils.logger import logger


@dataclass(frozen=True)
class Seen:
    """What the models give for some images.

    Attributes:
        student: (list of logits at the size where they are compared, {name: tensor}).
        teachers: the same of each teacher.
        label: M x H x W, int64, of the first M images; None if there is none.
    """

    student: tuple
    teachers: list
    label: paddle.Tensor


def observe(student, taps, teachers, batch, at="full"):
    """Run all models on a batch and return what was `Seen`.

    The student runs in training mode, since some layers run in training alone, but changes nothing: running
    statistics and generators are put back.

    Args:
        student: the student's layer.
        taps: its `Taps`.
        teachers: list of `Teacher`.
        batch: {'img': float32 N x 3 x H x W, 'label': as in `Seen`, or absent}.
        at: as in `DistillNet`.
    """
    with _as_in_training(student):
        logits = output_list(student(batch["img"]))
        features = taps.read()
    if at == "head":
        logits = left_at_head(student, logits)
    answers = [(teacher.at_head if at == "head" else teacher)(batch["img"]) for teacher in teachers]
    return Seen((logits, features), answers, batch.get("label"))


@contextlib.contextmanager
def _as_in_training(model):
    """Put a model into training mode meanwhile, without gradients; put back what a forward pass changes."""
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    state = {key: value.clone() for key, value in model.state_dict().items() if value.stop_gradient}
    generators = paddle.get_rng_state(), np.random.get_state(), random.getstate()
    model.train()
    try:
        with paddle.no_grad():
            yield
    finally:
        paddle.set_rng_state(generators[0])
        np.random.set_state(generators[1])
        random.setstate(generators[2])
        own = model.state_dict()
        for key, value in state.items():
            own[key].set_value(value)
        for layer, training in modes:
            layer.training = training


def check_logits(seen, at="full"):
    """Raise `UserError` for another number of classes, or counterparts of different shapes.

    Where heads are compared, `at` is "head", those of different sizes are resized; it is logged.
    """
    for k, (logits, _) in enumerate(seen.teachers):
        which = "teacher" if len(seen.teachers) == 1 else f"teacher {k}"
        for i, (ours, theirs) in enumerate(counterparts(seen.student[0], logits)):
            _compare(i, ours, theirs, which, at)


def _compare(i, ours, theirs, which, at):
    if ours.shape[1] != theirs.shape[1]:
        raise UserError(
            f"output {i} of the student has {ours.shape[1]} classes and the {which}'s {theirs.shape[1]}; "
            f"give both models the same num_classes"
        )
    size = smallest_size(ours.shape, theirs.shape) if at == "head" else None
    if size is not None:
        logger.info(
            f"distill_loss at the head: output {i}: the student's {ours.shape[2]} x {ours.shape[3]} and the "
            f"{which}'s {theirs.shape[2]} x {theirs.shape[3]} are resized bilinearly to {size[0]} x {size[1]}"
        )
    elif ours.shape != theirs.shape:
        raise UserError(
            f"output {i} of the student has shape {list(ours.shape)} and the {which}'s "
            f"{list(theirs.shape)}; logits are distilled at equal shapes"
        )


def feature_losses(features, seen, num_classes=None, ignore_index=255):
    """Return a `FeatureLoss` of each `Feature`, made for the shapes that were seen, and tried on them.

    Args:
        features: list of `Feature`.
        seen: what `observe` returned.
        num_classes, ignore_index: for losses that take them; None if the number is not known.

    Raises:
        UserError: a tensor that no adaptor names, a loss or a connector that cannot be made for the shapes, a
            loss that is no finite number.
    """
    losses = []
    for feature in features:
        shapes = [list(tensor.shape) for tensor in _tapped(feature, seen)]
        losses.append(FeatureLoss(feature, *shapes, num_classes, ignore_index))
    for loss in unique_names(losses):
        _check_feature(loss, seen)
    return losses


def _tapped(feature, seen):
    return (
        _named(feature, "student", seen.student[1]),
        _named(feature, "teacher", seen.teachers[feature.teacher_index][1]),
    )


def _named(feature, role, outputs):
    tap = getattr(feature, role)
    if tap not in outputs:
        raise UserError(
            f"{feature.loss['type']} asks for the {role}'s {tap!r}, which its adaptor's "
            f"mapping_layers() does not name; {suggestion(tap, outputs)}"
        )
    return outputs[tap]


def _check_feature(loss, seen):
    """Refuse a `FeatureLoss` that what was seen turns into no finite number with a finite gradient.

    The loss computes as in training; whatever state that changes is put back.
    """
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    student, teacher = _tapped(loss.feature, seen)
    student = student.detach()
    student.stop_gradient = False
    try:
        _check_finite(loss, student, teacher, seen.label)
    finally:
        loss.set_state_dict(before)
        for parameter in loss.parameters():
            parameter.clear_gradient(False)  # none at all: zeros would let an optimizer move it


def _check_finite(loss, student, teacher, label):
    place = loss.feature.place("loss")
    shapes = told_shapes(loss.feature, student.shape, teacher.shape)
    with _told_as_users(loss, loss.connector, f"{loss.feature.place('connector')}: {loss.name}", shapes):
        pair = loss.connected(student, teacher)
    with _told_as_users(loss, loss.loss, f"{place}: {loss.name}", shapes):
        value = loss.compared(*pair, label)
    if not isinstance(value, paddle.Tensor) or value.size != 1:
        what = f"shape {list(value.shape)}" if isinstance(value, paddle.Tensor) else type(value).__name__
        raise UserError(f"{place}: {loss.name} gives {what}; a loss must be one number")
    if not np.isfinite(float(value)):
        raise UserError(
            f"{place}: {loss.name} gives {float(value)}: {shapes}; choose another loss or other tensors"
        )
    value.backward()
    if student.grad is not None and not np.isfinite(student.grad.numpy()).all():
        raise UserError(f"{place}: {loss.name} has no finite gradient: {shapes}")


@contextlib.contextmanager
def _told_as_users(loss, part, place, shapes):
    """Tell of what a loss or a connector raises as a `UserError`; of our own, what is no such is a bug."""
    try:
        yield
    except UserError as error:
        prefix = "" if str(error).startswith(loss.feature.place("connector")) else f"{place}: "
        raise UserError(f"{prefix}{error}: {shapes}") from error
    except Exception as error:
        if type(part).__module__.startswith("paddleseg."):
            raise
        told = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise UserError(f"{place}: {told}: {shapes}") from error
