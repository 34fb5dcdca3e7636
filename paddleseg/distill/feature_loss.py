"""The layer of a `Feature`: a connector, and a weighted loss between a student's and a teacher's tensor."""

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.feature_losses import FEATURE_LOSSES, misuse
from paddleseg.distill.outputs import resize_message, resize_to_smallest
from paddleseg.distill.tokens import are_tokens
from paddleseg.errors import UserError, suggestion
from paddleseg.losses.combine import compare, takes_label
from paddleseg.losses.labels import resize_label
from paddleseg.utils import signature
from paddleseg.utils.logger import logger

# Losses of PaddleSlim on the relations between the samples of a batch. With two samples they are always 0.
BETWEEN_SAMPLES = ("RKDLoss", "RKdAngle", "RkdDistance")
AUTO = {"type": "ConvBNConnector", "kernel_size": 1}


class FeatureLoss(nn.Layer):
    """The connector and the loss of a `Feature` as one layer, whose parameters are trained.

    Maps of different height or width are resized bilinearly to the smaller of the two before the connector.

    Args:
        feature: a `Feature`.
        student_shape, teacher_shape: shapes of the two tensors, N x C x ...
        num_classes: passed to a loss that takes it; None if it is not known. Default None.
        ignore_index: passed to a loss that takes it. Default 255.

    Attributes:
        feature: the same.
        name: the name in the log, such as "hidden_0_SegChannelwiseLoss".
        weight: that of the feature; "auto" until `AutoWeights` has measured it.
        connector: the connector, a layer; None without one.
        loss: the loss, a callable.

    Raises:
        UserError: the loss or the connector does not exist, refuses its arguments, or does not fit.
    """

    def __init__(self, feature, student_shape, teacher_shape, num_classes=None, ignore_index=255):
        super().__init__()
        self.feature = feature
        self.name = feature.name
        self.weight = feature.weight
        shapes = describe_shapes(feature, student_shape, teacher_shape)
        if min(len(student_shape), len(teacher_shape)) < 2:
            raise UserError(f"{feature.place()}: {self.name}: {shapes}; a feature is N x C, or N x C x ...")
        resizing = resize_message(student_shape, teacher_shape)
        if resizing is not None:
            logger.info(f"{self.name}: {resizing}")
        self.connector = build_connector(feature, student_shape, teacher_shape)
        available = {
            "student_channels": (student_shape if self.connector is None else teacher_shape)[1],
            "teacher_channels": teacher_shape[1],
            "num_classes": num_classes,
            "ignore_index": ignore_index,
        }
        self.loss = build_loss(feature, available)
        # Maps are resized, so only N and C must agree. Losses of others would broadcast one to the other.
        axes = slice(2 if len(student_shape) == len(teacher_shape) == 4 else None)
        if (
            _by_element(feature, self.loss)
            and self.connector is None
            and student_shape[axes] != teacher_shape[axes]
        ):
            raise UserError(f"{feature.place('loss')}: {self.name}: {shapes}")

    def forward(self, student, teacher, label=None, iteration=None):
        """Return the weighted loss, a scalar tensor; 0, without computing it, if the schedule's factor is 0.

        Args:
            student, teacher: the tensors, of the shapes given to the constructor except for N, H and W.
            label: M x H x W, int64, of the first M samples, at any size; None if there is none.
            iteration: from 1, for the schedule; None for the full weight.
        """
        factor = 1.0 if iteration is None else self.feature.schedule.factor(iteration)
        if factor == 0:
            return paddle.zeros([])
        value = self.unweighted(*self.connect(student, teacher), label)
        return (self.weight * factor) * value

    def connect(self, student, teacher):
        """Return the two tensors for `unweighted`: resized, and the student's passed through the connector.

        Raises:
            UserError: the connector's output has another shape than the teacher's tensor.
        """
        student, teacher = resize_to_smallest(student, teacher.detach())
        if self.connector is not None:
            student = self.connector(student)
            shape = list(student.shape) if isinstance(student, paddle.Tensor) else type(student).__name__
            # Losses would broadcast one to the other.
            if shape != list(teacher.shape):
                raise UserError(
                    f"{self.feature.place('connector')}: {self.name}: {type(self.connector).__name__} gives "
                    f"{shape} where the teacher's {self.feature.teacher} is {list(teacher.shape)}"
                )
        return student, teacher

    def unweighted(self, student, teacher, label=None):
        """Return the loss, without its weight, of two tensors that `connect` returned."""
        wants_label = takes_label(self.loss, 2)
        label = label_for(self.loss, label, student) if wants_label else None
        if wants_label and label is None and getattr(self.loss, "needs_label", False):
            raise UserError("it needs labels N x H x W, and none reach it here")
        return compare(self.loss, (student, teacher), label)


def label_for(loss, label, tensor):
    """Return the label that a loss of a tensor gets: by `fit_label`, but whole if it `resizes_label`."""
    return label if getattr(loss, "resizes_label", False) else fit_label(label, tensor)


def _by_element(feature, loss):
    """Return whether a loss of PaddleSlim or Paddle compares two tensors element by element."""
    if isinstance(feature.loss, dict):
        return FEATURE_LOSSES.is_paddleslims(feature.loss_name) and feature.loss_name not in BETWEEN_SAMPLES
    return type(loss).__module__.startswith("paddle.nn.")


def fit_label(label, tensor):
    """Return a label at the size of a tensor, taken from the nearest pixel; None where a label cannot fit.

    Args:
        label: M x H x W, or M x ... of the size of the tensor; None gives None.
        tensor: N x C x H' x W', or N x C x ...; a tensor N x C has no positions to label.
    """
    if label is None or len(tensor.shape) == 2 or len(label.shape) != len(tensor.shape) - 1:
        return None
    if label.shape[1:] == tensor.shape[2:]:
        return label
    return resize_label(label, tensor.shape[2:]) if len(tensor.shape) == 4 else None


def build_connector(feature, student_shape, teacher_shape):
    """Return the connector between two tensors of these shapes; None where the feature has none."""
    spec = feature.connector
    if spec == "auto":
        spec = "none" if student_shape[1] == teacher_shape[1] else AUTO
    if spec == "none" or isinstance(spec, nn.Layer):
        return None if spec == "none" else spec
    place = feature.place("connector")
    for role, shape in (("student", student_shape), ("teacher", teacher_shape)):
        if len(shape) != 4:
            remedy = "; `grid: auto` makes a map of tokens N x L x C" if are_tokens(shape) else ""
            raise UserError(
                f"{place}: a connector takes N x C x H x W, and the {role}'s {getattr(feature, role)} has "
                f"shape {list(shape)}{remedy}"
            )
    channels = {"student_channels": student_shape[1], "teacher_channels": teacher_shape[1]}
    return build_component({**spec, **channels}, manager.CONNECTORS, place)


def build_loss(feature, available):
    """Return the loss of a feature: the one that it holds, else by its name one of ours or of PaddleSlim.

    Args:
        feature: a `Feature`.
        available: {name: value} for parameters of the constructor that the feature does not set; a value may
            be None.
    """
    spec, place = feature.loss, feature.place("loss")
    if not isinstance(spec, dict):
        return spec
    try:
        component = FEATURE_LOSSES[spec["type"]]
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    why_not = misuse(spec)
    if why_not:
        raise UserError(f"{place}: {why_not}")
    parameters = signature.parameters(component)
    names = [n for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for key in spec:
        if key != "type" and not signature.accepts(component, key):
            raise UserError(f"{place}: {spec['type']} takes no {key!r}; {suggestion(key, names)}")
    spec = {**{k: v for k, v in available.items() if k in names and v is not None}, **spec}
    for name in names:
        if parameters[name].default is parameters[name].empty and name not in spec:
            raise UserError(f"{place}: {spec['type']} needs {name!r}, and nothing gives it")
    return build_component(spec, FEATURE_LOSSES, place)


def describe_shapes(feature, student_shape, teacher_shape):
    """Return the shapes of a feature's two tensors, and what to do if they differ, for messages."""
    shapes = (
        f"the student's {feature.student} has shape {list(student_shape)}, the teacher's {feature.teacher} "
        f"{list(teacher_shape)}"
    )
    if list(student_shape) == list(teacher_shape) or feature.connector != "none":
        return shapes
    return f"{shapes}; choose two of equal shape{'' if feature.uses_adaptor else ', or `connector: auto`'}"


def make_names_unique(feature_losses):
    """Add an index to the names that several losses share, in place, so that each loss is logged."""
    names = [loss.name for loss in feature_losses]
    for i, loss in enumerate(feature_losses):
        if names.count(names[i]) > 1:
            loss.name = f"{names[i]}_{names[:i].count(names[i])}"


def check_batch_size(features, batch_size):
    """Raise `UserError` for a loss that is always 0 with so few samples in the batch of a process."""
    for feature in features:
        if feature.loss_name in BETWEEN_SAMPLES and batch_size < 3:
            raise UserError(
                f"{feature.place('loss')}: {feature.name} compares the samples of a batch with one another "
                f"and is 0 for fewer than three; batch_size is {batch_size}"
            )
