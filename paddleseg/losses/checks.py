"""Checks of what a loss is given: the shapes of its tensors and the range of its hyperparameters."""

import math
import numbers

import paddle

from paddleseg.errors import UserError


def check_label(logits, label):
    """Raise `UserError` unless `label` is N x ... for `logits` of N x C x ..."""
    if len(logits.shape) < 2:
        raise UserError(f"logits need a shape of N x C x ..., and have {_shape(logits)}")
    expected = [logits.shape[0], *logits.shape[2:]]
    if list(label.shape) != expected:
        raise UserError(
            f"label has the shape {_shape(label)} where logits of {_shape(logits)} need {expected}"
            " (N x ..., without the classes)"
        )


def require_label(loss, label):
    """Raise `UserError` where a loss that compares classes is given no label."""
    if label is None:
        raise UserError(f"{loss} compares pixels by their class and needs the label map, but got none")


def check_num_classes(name, num_classes, logits):
    """Raise `UserError` unless the parameter `name` is None or the number of classes of the logits."""
    if num_classes not in (None, logits.shape[1]):
        raise UserError(
            f"{name} is {num_classes}, but the model has {logits.shape[1]} classes; leave {name} out"
        )


def check_alike(student, teacher):
    """Raise `UserError` unless both tensors have the same shape, of two axes at least."""
    if list(student.shape) != list(teacher.shape):
        raise UserError(
            f"student {_shape(student)} and teacher {_shape(teacher)} differ in shape, and must agree"
            " to be compared"
        )
    if len(student.shape) < 2:
        raise UserError(f"student and teacher need two axes at least, and have the shape {_shape(student)}")


def check_maps(student, teacher):
    """Raise `UserError` unless both are N x C x H x W and agree in N, H and W; C may differ."""
    shapes = _shape(student), _shape(teacher)
    if not all(len(shape) == 4 for shape in shapes):
        raise UserError(f"student {shapes[0]} and teacher {shapes[1]} must be feature maps, N x C x H x W")
    ours, theirs = ([shape[0], *shape[2:]] for shape in shapes)
    if ours != theirs:
        raise UserError(
            f"student {shapes[0]} and teacher {shapes[1]} must have as many samples and the same height and"
            " width to be compared"
        )


def class_weight(weight):
    """Return the class weights that a constructor gets as a float32 tensor, None for None.

    Raises:
        UserError: a weight is negative or not finite, or all are 0.
    """
    if weight is None:
        return None
    if not all(0 <= w < math.inf for w in weight):
        raise UserError(f"weight must hold numbers that are 0 or more, not {list(weight)}")
    if len(weight) and not any(weight):
        raise UserError("weight is 0 for all classes, and nothing would be learned; one must be above 0")
    return paddle.to_tensor(weight, dtype="float32")


def check_class_weight(weight, logits):
    """Raise `UserError` unless `weight` is None or holds a number for each class of the logits."""
    if weight is not None and list(weight.shape) != [logits.shape[1]]:
        raise UserError(
            f"weight has the shape {_shape(weight)} where logits of {_shape(logits)} need one"
            f" number for each of {logits.shape[1]} classes"
        )


def check_positive(name, value):
    """Raise `UserError` unless the hyperparameter `name` is a positive, finite number."""
    if not 0 < value < math.inf:
        raise UserError(f"{name} must be a positive number, not {value!r}")


def check_not_negative(name, value):
    """Raise `UserError` unless the hyperparameter `name` is a finite number of 0 or above."""
    if not 0 <= value < math.inf:
        raise UserError(f"{name} must be a number of 0 or above, not {value!r}")


def check_count(name, value):
    """Raise `UserError` unless the hyperparameter `name` is a whole number above 0."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise UserError(f"{name} must be a whole number above 0, not {value!r}")


def check_channels(loss, **channels):
    """Raise `UserError` unless a loss with trainable parts knows the channels of its tensors."""
    for name, value in channels.items():
        if value is None:
            raise UserError(
                f"{type(loss).__name__} needs {name}, the number of channels of that tensor; under"
                " distill.features it is filled in"
            )
        check_count(name, value)


def _shape(tensor):
    return list(tensor.shape)
