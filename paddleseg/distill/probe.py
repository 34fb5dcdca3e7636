"""One forward pass of all models before training, so that what does not fit is reported at once."""

import contextlib
import random
from dataclasses import dataclass
from typing import Optional

import numpy as np
import paddle

from paddleseg.distill.feature_loss import FeatureLoss, describe_shapes, make_names_unique
from paddleseg.distill.outputs import counterparts, left_at_head, resize_message
from paddleseg.errors import UserError, suggestion
from paddleseg.losses.combine import output_list
from paddleseg.utils.logger import logger


@dataclass(frozen=True)
class Observed:
    """The outputs of all models for some images.

    Attributes:
        student: (list of logits at the size where they are compared, {name or Tap: tensor}).
        teachers: the same of each teacher.
        label: M x H x W, int64, of the first M images; None without labels.
    """

    student: tuple
    teachers: list
    label: Optional[paddle.Tensor]


def observe(student, taps, teachers, batch, at="full"):
    """Run all models on a batch and return what they give, as `Observed`.

    The student runs in training mode, since some layers run only then. Its running statistics and the
    generators of random numbers are restored afterwards.

    Args:
        student: the student's layer.
        taps: its `Taps`.
        teachers: list of `Teacher`.
        batch: {'img': float32 N x 3 x H x W, 'label': as in `Observed`, or absent}.
        at: as in `DistillNet`. Default "full".
    """
    with _training_without_traces(student):
        logits = output_list(student(batch["img"]))
        features = taps.read()
    if at == "head":
        logits = left_at_head(student, logits)
    outputs = [(teacher.at_head if at == "head" else teacher)(batch["img"]) for teacher in teachers]
    return Observed((logits, features), outputs, batch.get("label"))


@contextlib.contextmanager
def _training_without_traces(model):
    """Put a model into training mode without gradients; restore at the end what a forward pass changes."""
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
        current = model.state_dict()
        for key, value in state.items():
            current[key].set_value(value)
        for layer, training in modes:
            layer.training = training


def check_logits(observed, at="full"):
    """Raise `UserError` if a teacher's logits differ from the student's in classes or size.

    With `at` "head" sizes may differ: the larger logits are resized, and the log says so.
    """
    for k, (logits, _) in enumerate(observed.teachers):
        role = "teacher" if len(observed.teachers) == 1 else f"teacher {k}"
        for i, (student, teacher) in enumerate(counterparts(observed.student[0], logits)):
            _check_pair(i, student, teacher, role, at)


def _check_pair(i, student, teacher, role, at):
    if student.shape[1] != teacher.shape[1]:
        raise UserError(
            f"output {i} of the student has {student.shape[1]} classes and the {role}'s {teacher.shape[1]}; "
            f"give both models the same num_classes"
        )
    resizing = resize_message(student.shape, teacher.shape, role) if at == "head" else None
    if resizing is not None:
        logger.info(f"distill_loss at the head: output {i}: {resizing}")
    elif student.shape != teacher.shape:
        raise UserError(
            f"output {i} of the student has shape {list(student.shape)} and the {role}'s "
            f"{list(teacher.shape)}; logits are distilled at equal shapes"
        )


def feature_losses(features, observed, num_classes=None, ignore_index=255):
    """Return a `FeatureLoss` of each `Feature`, made for the observed tensors and tried on them.

    Args:
        features: list of `Feature`.
        observed: `Observed`.
        num_classes, ignore_index: as in `FeatureLoss`.

    Raises:
        UserError: an adaptor does not name a tensor, a loss or connector does not fit the shapes, or a loss
            or its gradient is not finite.
    """
    losses = []
    for feature in features:
        shapes = [list(tensor.shape) for tensor in _tensors(feature, observed)]
        losses.append(FeatureLoss(feature, *shapes, num_classes, ignore_index))
    make_names_unique(losses)
    for loss in losses:
        _check_feature(loss, observed)
    return losses


def _tensors(feature, observed):
    """Return the two tensors of a feature, the student's and the teacher's."""
    models = {"student": observed.student, "teacher": observed.teachers[feature.teacher_index]}
    tensors = []
    for role, (_, outputs) in models.items():
        tap = getattr(feature, role)
        if tap not in outputs:
            raise UserError(
                f"{feature.loss['type']} asks for the {role}'s {tap!r}, which its adaptor's "
                f"mapping_layers() does not name; {suggestion(tap, outputs)}"
            )
        tensors.append(outputs[tap])
    return tensors


def _check_feature(loss, observed):
    """Raise `UserError` unless a `FeatureLoss` gives a finite number with a finite gradient.

    The loss is computed as in training; its state is restored afterwards.
    """
    state = {key: value.clone() for key, value in loss.state_dict().items()}
    student, teacher = _tensors(loss.feature, observed)
    student = student.detach()
    student.stop_gradient = False
    try:
        _check_finite(loss, student, teacher, observed.label)
    finally:
        loss.set_state_dict(state)
        for parameter in loss.parameters():
            parameter.clear_gradient(False)  # to None: with zeros an optimizer could move the parameter


def _check_finite(loss, student, teacher, label):
    place = loss.feature.place("loss")
    shapes = describe_shapes(loss.feature, student.shape, teacher.shape)
    with _errors_to_user(loss, loss.connector, f"{loss.feature.place('connector')}: {loss.name}", shapes):
        pair = loss.connect(student, teacher)
    with _errors_to_user(loss, loss.loss, f"{place}: {loss.name}", shapes):
        value = loss.unweighted(*pair, label)
    if not isinstance(value, paddle.Tensor) or value.size != 1:
        actual = f"shape {list(value.shape)}" if isinstance(value, paddle.Tensor) else type(value).__name__
        raise UserError(f"{place}: {loss.name} gives {actual}; a loss must be one number")
    if not np.isfinite(float(value)):
        raise UserError(
            f"{place}: {loss.name} gives {float(value)}: {shapes}; choose another loss or other tensors"
        )
    value.backward()
    if student.grad is not None and not np.isfinite(student.grad.numpy()).all():
        raise UserError(f"{place}: {loss.name} has no finite gradient: {shapes}")


@contextlib.contextmanager
def _errors_to_user(loss, component, place, shapes):
    """Turn an error of a loss or connector into a `UserError`; one of our own components is a bug."""
    try:
        yield
    except UserError as error:
        prefix = "" if str(error).startswith(loss.feature.place("connector")) else f"{place}: "
        raise UserError(f"{prefix}{error}: {shapes}") from error
    except Exception as error:
        if type(component).__module__.startswith("paddleseg."):
            raise
        message = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise UserError(f"{place}: {message}: {shapes}") from error
