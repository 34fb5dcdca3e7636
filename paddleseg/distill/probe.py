"""One forward pass of both models before training, so that what does not fit is said at once."""

import numpy as np
import paddle

from paddleseg.distill.outputs import compared_outputs
from paddleseg.errors import UserError, suggestion
from paddleseg.models.losses.combine import output_list


def probe(student, student_taps, teacher, feature_losses, images):
    """Compare what the two models give for a batch of images with what the losses will ask for.

    Changes nothing: the student runs in eval mode and without gradients.

    Args:
        student: the student's layer.
        student_taps: its `Taps`.
        teacher: a `Teacher`.
        feature_losses: list of `FeatureLoss`.
        images: float32 N x 3 x H x W.

    Raises:
        UserError: another number of outputs or classes, a tap that nobody named, tensors of different
            shapes, a feature loss that is no finite number.
    """
    was_training = student.training
    student.eval()
    with paddle.no_grad():
        student_logits = output_list(student(images))
    student_outputs = student_taps.read()
    if was_training:
        student.train()
    teacher_logits, teacher_outputs = teacher(images)
    _compare_logits(student_logits, teacher_logits)
    for feature_loss in feature_losses:
        _check_feature(feature_loss, student_outputs, teacher_outputs)


def _compare_logits(student, teacher):
    for i, (ours, theirs) in enumerate(compared_outputs(student, teacher)):
        if ours.shape[1] != theirs.shape[1]:
            raise UserError(
                f"output {i} of the student has {ours.shape[1]} classes and the teacher's {theirs.shape[1]}; "
                f"give both models the same num_classes"
            )
        if ours.shape != theirs.shape:
            raise UserError(
                f"output {i} of the student has shape {list(ours.shape)} and the teacher's "
                f"{list(theirs.shape)}; logits are distilled at equal shapes"
            )


def _check_feature(feature_loss, student_outputs, teacher_outputs):
    tensors = []
    for role, tap, outputs in (
        ("student", feature_loss.student_tap, student_outputs),
        ("teacher", feature_loss.teacher_tap, teacher_outputs),
    ):
        if tap not in outputs:
            raise UserError(
                f"{feature_loss.loss_name} asks for the {role}'s {tap!r}, which its adaptor's "
                f"mapping_layers() does not name; {suggestion(tap, outputs)}"
            )
        tensors.append(outputs[tap])
    student, teacher = tensors
    if student.shape != teacher.shape:
        raise UserError(
            f"{feature_loss.loss_name}: the student's {feature_loss.student_tap} has shape "
            f"{list(student.shape)}, the teacher's {feature_loss.teacher_tap} {list(teacher.shape)}; choose "
            f"two of equal shape"
        )
    _check_finite(feature_loss, student, teacher)


def _check_finite(feature_loss, student, teacher):
    """Refuse a loss that these tensors turn into something other than a finite number with a gradient."""
    student = student.detach()
    student.stop_gradient = False
    shape = list(student.shape)
    taps = {feature_loss.student_tap: student}, {feature_loss.teacher_tap: teacher}
    try:
        value = feature_loss(*taps)
    except UserError as error:
        raise UserError(f"{feature_loss.name}: {error}") from None
    except (ValueError, AssertionError, TypeError) as error:
        told = str(error).strip().splitlines()[-1]
        raise UserError(f"{feature_loss.name} cannot work on tensors of shape {shape}: {told}") from error
    if value.size != 1 or not np.isfinite(float(value)):
        raise UserError(
            f"{feature_loss.name} gives {value.numpy()} on tensors of shape {shape}; choose another "
            f"loss_function or other tensors"
        )
    value.backward()
    if student.grad is not None and not np.isfinite(student.grad.numpy()).all():
        raise UserError(f"{feature_loss.name} has no finite gradient on tensors of shape {shape}")
