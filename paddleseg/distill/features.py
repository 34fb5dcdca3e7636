"""Feature distillation: a weighted loss between a tensor of the student and one of a teacher."""

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.feature_losses import FEATURE_LOSSES, misuse
from paddleseg.distill.outputs import at_smallest, smallest_size
from paddleseg.errors import UserError, suggestion
from paddleseg.losses.combine import compare, takes_label
from paddleseg.losses.labels import resize_label
from paddleseg.utils import signature
from paddleseg.utils.logger import logger

# Losses of PaddleSlim on the relations between the samples of a batch: of two, every distance is their mean.
BETWEEN_SAMPLES = ("RKDLoss", "RKdAngle", "RkdDistance")
AUTO = {"type": "ConvBNConnector", "kernel_size": 1}


class FeatureLoss(nn.Layer):
    """A `Feature` at work: its connector and its loss, as one layer, whose parameters are trained.

    Maps of different height or width are resized bilinearly to the smaller of the two before the connector.

    Args:
        feature: a `Feature`.
        student_shape, teacher_shape: shapes of the two tensors, N x C x ...
        num_classes: what a loss that takes it is given; None if it is not known.
        ignore_index: the same.

    Attributes:
        feature: the same.
        name: what the log calls it, such as "hidden_0_SegChannelwiseLoss".
        loss: the loss, a callable.

    Raises:
        UserError: the loss or the connector does not exist, refuses its arguments, or does not fit.
    """

    def __init__(self, feature, student_shape, teacher_shape, num_classes=None, ignore_index=255):
        super().__init__()
        self.feature = feature
        self.name = feature.name
        if min(len(student_shape), len(teacher_shape)) < 2:
            told = told_shapes(feature, student_shape, teacher_shape)
            raise UserError(f"{feature.place()}: {self.name}: {told}; a feature is N x C, or N x C x ...")
        size = smallest_size(student_shape, teacher_shape)
        if size is not None:
            logger.info(
                f"{self.name}: the student's {student_shape[2]} x {student_shape[3]} and the teacher's "
                f"{teacher_shape[2]} x {teacher_shape[3]} are resized bilinearly to {size[0]} x {size[1]}"
            )
        self.connector = build_connector(feature, student_shape, teacher_shape)
        supplied = {
            "student_channels": (student_shape if self.connector is None else teacher_shape)[1],
            "teacher_channels": teacher_shape[1],
            "num_classes": num_classes,
            "ignore_index": ignore_index,
        }
        self.loss = build_loss(feature, supplied)
        by_element = (
            feature.loss["type"] not in manager.LOSSES and feature.loss["type"] not in BETWEEN_SAMPLES
        )
        positions = slice(2 if len(student_shape) == len(teacher_shape) == 4 else None)
        # PaddleSlim's losses would broadcast the one to the other.
        if by_element and self.connector is None and student_shape[positions] != teacher_shape[positions]:
            told = told_shapes(feature, student_shape, teacher_shape)
            raise UserError(f"{feature.place('loss')}: {self.name}: {told}")

    def forward(self, student, teacher, label=None, iteration=None):
        """Return the weighted loss, a scalar tensor; 0 where the schedule has it rest.

        Args:
            student, teacher: the tensors, of the shapes that this was made for, or another N, H, W.
            label: M x H x W, int64, of the first M samples, at any size; None if there is none.
            iteration: from 1, for the schedule; None for the whole weight.
        """
        factor = 1.0 if iteration is None else self.feature.schedule.factor(iteration)
        if factor == 0:
            return paddle.zeros([])
        value = self.compared(*self.connected(student, teacher), label)
        return (self.feature.weight * factor) * value

    def connected(self, student, teacher):
        """Return the two tensors as the loss compares them: resized, the student's through its connector.

        Raises:
            UserError: the connector does not give what the teacher's tensor is like.
        """
        student, teacher = at_smallest(student, teacher.detach())
        if self.connector is not None:
            student = self.connector(student)
            shape = list(student.shape) if isinstance(student, paddle.Tensor) else type(student).__name__
            # Losses would broadcast the one to the other.
            if shape != list(teacher.shape):
                raise UserError(
                    f"{self.feature.place('connector')}: {self.name}: {type(self.connector).__name__} gives "
                    f"{shape} where the teacher's {self.feature.teacher} is {list(teacher.shape)}"
                )
        return student, teacher

    def compared(self, student, teacher, label=None):
        """Return what the loss, without its weight, says of two tensors that are `connected`."""
        takes = takes_label(self.loss, 2)
        label = label_at(label, student) if takes else None
        if takes and label is None and getattr(self.loss, "needs_label", False):
            raise UserError("it needs labels N x H x W, and none reach it here")
        return compare(self.loss, (student, teacher), label)


def label_at(label, tensor):
    """Return a label at the size of a tensor N x C x ..., taken from the nearest; None where none fits.

    Args:
        label: M x H x W, or M x ... of the tensor's own size; None gives None.
        tensor: N x C x H' x W', or N x C x ...; of N x C, no position can be left out.
    """
    if label is None or len(tensor.shape) == 2 or len(label.shape) != len(tensor.shape) - 1:
        return None
    if label.shape[1:] == tensor.shape[2:]:
        return label
    if len(tensor.shape) != 4:
        return None
    return resize_label(label, tensor.shape[2:])


def build_connector(feature, student_shape, teacher_shape):
    """Return the connector between two tensors of these shapes, or None where there is to be none."""
    spec = feature.connector
    if spec == "auto":
        spec = "none" if student_shape[1] == teacher_shape[1] else AUTO
    if spec == "none":
        return None
    place = feature.place("connector")
    for role, shape in (("student", student_shape), ("teacher", teacher_shape)):
        if len(shape) != 4:
            raise UserError(
                f"{place}: a connector takes N x C x H x W, and the {role}'s {getattr(feature, role)} has "
                f"shape {list(shape)}"
            )
    channels = {"student_channels": student_shape[1], "teacher_channels": teacher_shape[1]}
    return build_component({**spec, **channels}, manager.CONNECTORS, place)


def build_loss(feature, supplied):
    """Return a feature's loss: of this project, of a user's, else of PaddleSlim's.

    Args:
        feature: a `Feature`.
        supplied: what the constructor is given beyond what the feature says, where it takes that.
    """
    spec, place = feature.loss, feature.place("loss")
    try:
        component = FEATURE_LOSSES[spec["type"]]
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    why_not = misuse(spec)
    if why_not:
        raise UserError(f"{place}: {why_not}")
    known = signature.parameters(component)
    names = [n for n, p in known.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for key in spec:
        if key != "type" and not signature.accepts(component, key):
            raise UserError(f"{place}: {spec['type']} takes no {key!r}; {suggestion(key, names)}")
    fill = {k: v for k, v in supplied.items() if k in names and v is not None}
    whole = {**fill, **spec}
    for name in names:
        if known[name].default is known[name].empty and name not in whole:
            raise UserError(f"{place}: {spec['type']} needs {name!r}, which is said nowhere")
    return build_component(whole, FEATURE_LOSSES, place)


def told_shapes(feature, student_shape, teacher_shape):
    """Return what shapes a feature's two tensors have, and what to do where these differ, for messages."""
    told = (
        f"the student's {feature.student} has shape {list(student_shape)}, the teacher's {feature.teacher} "
        f"{list(teacher_shape)}"
    )
    if list(student_shape) == list(teacher_shape) or feature.connector != "none":
        return told
    remedy = "" if isinstance(feature.student, str) else ", or `connector: auto`"
    return f"{told}; choose two of equal shape{remedy}"


def unique_names(feature_losses):
    """Give losses that share a name an index, so that each is logged apart; return the same list."""
    names = [loss.name for loss in feature_losses]
    for i, loss in enumerate(feature_losses):
        if names.count(names[i]) > 1:
            loss.name = f"{names[i]}_{names[:i].count(names[i])}"
    return feature_losses


def check_batch_size(features, batch_size):
    """Raise `UserError` for a loss that is always 0 with so few samples in a process's batch."""
    for feature in features:
        if feature.loss["type"] in BETWEEN_SAMPLES and batch_size < 3:
            raise UserError(
                f"{feature.place('loss')}: {feature.name} compares the samples of a batch with one another "
                f"and is 0 for fewer than three; batch_size is {batch_size}"
            )
