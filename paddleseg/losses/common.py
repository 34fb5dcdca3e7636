"""What the losses share: the shapes they demand, their precision, and their arithmetic."""

import functools
import math
import numbers

import paddle

from paddleseg.errors import UserError


def full_precision(function):
    """Decorate a loss so that it computes in float32 (float64 if given that) under any precision.

    float16 and bfloat16 arguments become float32, and automatic mixed precision is off inside: a sum
    over an image's pixels overflows float16, and at its O2 level even a product would be lowered.
    """

    @functools.wraps(function)
    def widened(*args, **kwargs):
        with paddle.amp.auto_cast(enable=False):
            return function(*map(widen, args), **{name: widen(value) for name, value in kwargs.items()})

    return widened


def widen(value):
    """Return a float16 or bfloat16 tensor as float32, and anything else as it is."""
    half = isinstance(value, paddle.Tensor) and value.dtype in (paddle.float16, paddle.bfloat16)
    return value.astype("float32") if half else value


def log_softmax(x, axis):
    """Return x - log sum exp(x) over `axis`, a tensor of the shape of `x`.

    Paddle's own limits it to -64 on a CPU, and takes two hundred times as long over a long last axis
    (measured at 4 x 19 x 16384 with its releases 2.6.2 and 3.3.1).
    """
    shifted = x - x.detach().max(axis=axis, keepdim=True)
    return shifted - shifted.exp().sum(axis=axis, keepdim=True).log()


def mean_over(total, weight):
    """Return the scalar tensor `total` / `weight`, or 0 with zero gradient where `weight` is 0."""
    return total / paddle.where(weight > 0, weight, paddle.ones_like(weight))


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


def check_num_classes(name, said, logits):
    """Raise `UserError` unless `said`, a parameter's value, is None or the logits' number of classes."""
    if said not in (None, logits.shape[1]):
        raise UserError(f"{name} is {said}, but the model has {logits.shape[1]} classes; leave it out")


def outside_classes(label, classes, ignore_index):
    """Return the `UserError` that tells of a label, N x ..., with values beyond 0..`classes` - 1."""
    kept = paddle.masked_select(label, label != ignore_index)
    return UserError(
        f"label holds classes from {int(kept.min())} to {int(kept.max())}, but the model has"
        f" {classes}, counted from 0: num_classes or ignore_index ({ignore_index}) is wrong"
    )


def kept_and_one_hot(label, classes, ignore_index, dtype):
    """Return which pixels of a label are kept, and which class each of them is of.

    Args:
        label: N x ..., int64, of 0..`classes` - 1 or `ignore_index`.
        dtype: of what is returned.

    Returns:
        kept: N x 1 x ..., 1 where the label is not `ignore_index`, else 0.
        one_hot: N x C x ..., 1 in the channel of the label's class; 0 throughout where it is ignored.

    Raises:
        UserError: a label is outside the classes, on a CPU. On a GPU, where reading it would stall the
            device, such a pixel is one of no class.
    """
    label = label.unsqueeze(1)
    kept = label != ignore_index
    if label.place.is_cpu_place():
        outside = paddle.logical_and(kept, paddle.logical_or(label < 0, label >= classes))
        if bool(outside.any()):
            raise outside_classes(label, classes, ignore_index)
    channels = paddle.arange(classes, dtype=label.dtype).reshape([1, classes] + [1] * (label.ndim - 2))
    one_hot = paddle.logical_and(label == channels, kept)
    return kept.astype(dtype), one_hot.astype(dtype)


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
    """Return a constructor's weights of the classes as a float32 tensor, None for None.

    Raises:
        UserError: a weight is negative or not finite.
    """
    if weight is None:
        return None
    if not all(0 <= w < math.inf for w in weight):
        raise UserError(f"weight must hold numbers that are 0 or more, not {list(weight)}")
    return paddle.to_tensor(weight, dtype="float32")


def check_class_weight(weight, logits):
    """Raise `UserError` unless `weight` is None or holds a number for each class of the logits."""
    if weight is not None and list(weight.shape) != [logits.shape[1]]:
        raise UserError(
            f"weight has the shape {_shape(weight)} where logits of {_shape(logits)} need one"
            f" number for each of {logits.shape[1]} classes"
        )


def check_temperature(temperature):
    """Raise `UserError` unless `temperature` is a positive, finite number."""
    check_positive("temperature", temperature)


def check_positive(name, value):
    """Raise `UserError`, naming the hyperparameter, unless `value` is a positive, finite number."""
    if not 0 < value < math.inf:
        raise UserError(f"{name} must be a positive number, not {value!r}")


def check_not_negative(name, value):
    """Raise `UserError`, naming the hyperparameter, unless `value` is a finite number of 0 or above."""
    if not 0 <= value < math.inf:
        raise UserError(f"{name} must be a number of 0 or above, not {value!r}")


def check_count(name, value):
    """Raise `UserError`, naming the hyperparameter, unless `value` is a whole number above 0."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise UserError(f"{name} must be a whole number above 0, not {value!r}")


def check_channels(loss, **channels):
    """Raise `UserError` for a loss with trainable parts that has not been told its channels."""
    for name, value in channels.items():
        if value is None:
            raise UserError(
                f"{type(loss).__name__} needs {name}, the number of channels of that tensor; under"
                " distill.features it is filled in"
            )
        check_count(name, value)


def _shape(tensor):
    return list(tensor.shape)
