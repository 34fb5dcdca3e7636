"""The arguments that a script gives to a `Distiller`, checked and brought into one form."""

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.cvlibs import facts
from paddleseg.distill.channels import input_channels
from paddleseg.distill.features import Feature
from paddleseg.distill.plan import check_teacher_indices
from paddleseg.errors import UserError
from paddleseg.utils.signature import is_weight

TRIAL_SIZE = 64  # height and width of the images of the trial


def trial_images(student, images=None):
    """Return up to two images for a trial, float32 N x C x H x W.

    Args:
        student: a layer.
        images: see `Distiller`.

    Raises:
        UserError: `images` has another form.
    """
    if images is None:
        images = (input_channels(student) or 3, TRIAL_SIZE, TRIAL_SIZE)
    if (
        isinstance(images, (list, tuple))
        and len(images) == 3
        and all(type(n) is int and n > 0 for n in images)
    ):
        images = np.random.default_rng(0).standard_normal((2, *images))
    return as_images(images)[:2]


def as_images(images):
    """Return images as a float32 tensor N x C x H x W; `UserError` for anything else."""
    images = paddle.to_tensor(images) if isinstance(images, np.ndarray) else images
    if not isinstance(images, paddle.Tensor) or len(images.shape) != 4:
        actual = list(images.shape) if isinstance(images, paddle.Tensor) else type(images).__name__
        raise UserError(f"images must be a tensor N x C x H x W, not {actual}")
    return images if images.dtype == paddle.float32 else images.astype("float32")


def as_label(labels, num_images):
    """Return labels, N x H x W or N x 1 x H x W, as int64 N x H x W; `UserError` for anything else."""
    labels = paddle.to_tensor(labels) if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, paddle.Tensor) or paddle.is_floating_point(labels):
        actual = labels.dtype if isinstance(labels, paddle.Tensor) else type(labels).__name__
        raise UserError(f"labels must be a tensor of whole numbers N x H x W, not {actual}")
    if len(labels.shape) == 4 and labels.shape[1] == 1:
        labels = labels.squeeze(1)
    if not labels.shape or not 1 <= labels.shape[0] <= num_images:
        raise UserError(
            f"{num_images} images have labels of the shape {list(labels.shape)}; each image has one"
        )
    return labels.astype("int64")


def checked_features(features, num_teachers):
    """Return a `Feature` or several as a list; `UserError` for anything else, or an unknown teacher."""
    features = [features] if isinstance(features, Feature) else list(features)
    for i, feature in enumerate(features):
        if not isinstance(feature, Feature):
            raise UserError(f"features.{i} must be a Feature, not {feature!r}")
    check_teacher_indices(features, num_teachers)
    return features


def check_models(student, teachers):
    """Raise `UserError` unless student and teachers are layers of their own, and the student can learn."""
    if not teachers:
        raise UserError("teacher: there must be at least one")
    for name, model in [("student", student), *(("teacher", teacher) for teacher in teachers)]:
        if not isinstance(model, nn.Layer):
            raise UserError(f"{name} must be a paddle.nn.Layer, not {type(model).__name__}")
    own = {id(parameter) for parameter in student.parameters()}
    if any(id(parameter) in own for teacher in teachers for parameter in teacher.parameters()):
        raise UserError(
            "student and teacher share parameters, and the teacher's are frozen; make two models of their own"
        )
    if all(parameter.stop_gradient for parameter in student.parameters()):
        raise UserError("student: it has no parameter that is trained")


def check_choice(name, value, choices):
    """Raise `UserError` unless the argument `name` has one of the values `choices`."""
    if value not in choices:
        raise UserError(f"{name} must be {' or '.join(choices)}, not {value!r}")


def unlabeled_per_batch(dataset, share, batch_size):
    """Return how many images of a batch have no label, for a share of a data set; 0 without a data set."""
    if dataset is None:
        return 0
    if not is_weight(share) or not 0 < share <= 1:
        raise UserError(f"unlabeled_share must be a number above 0 and up to 1, not {share!r}")
    problem = facts.problem_of_share(share, batch_size)
    if problem is not None:
        raise UserError(f"unlabeled_share: {problem}")
    return facts.count_of_share(share, batch_size)
