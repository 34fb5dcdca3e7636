"""One forward pass of all models before training, so that what does not fit is reported at once."""

import contextlib
import functools
from dataclasses import dataclass
from typing import Optional

import paddle

from paddleseg.distill.channels import explain_failures
from paddleseg.distill.feature_loss import FeatureLoss, describe_shapes, label_for, make_names_unique
from paddleseg.distill.outputs import counterparts, last_head_logits, resize_message, resize_to_smallest
from paddleseg.distill.trial import generator_states, restored, set_generators, try_loss
from paddleseg.errors import UserError, suggestion
from paddleseg.losses.combine import compare, compared, loss_name, output_list
from paddleseg.utils.logger import logger
from paddleseg.utils.modes import modes_restored


@dataclass(frozen=True)
class Observed:
    """The outputs of all models for some images.

    Attributes:
        student: (list of logits at the size where they are compared, {name or Tap: tensor}).
        teachers: the same of each teacher.
        label: M x H x W, int64, of the first M images; None without labels.
        unreached: where features alone are compared, the names of the student's parameters that its logits
            depend on and its tapped tensors do not. Default none.
        of_tokens: (those of the student's keys whose tensors were tokens, a list of those of each teacher).
            Default none.
        constant: the names and Taps of the student's tensors that no trained parameter changes. Default none.
    """

    student: tuple
    teachers: list
    label: Optional[paddle.Tensor]
    constant: frozenset = frozenset()
    unreached: tuple = ()
    of_tokens: tuple = ()

    @property
    def teacher_logits(self):
        """{name of a teacher: its logits} of the teachers that give some."""
        named = zip(roles(self.teachers), self.teachers)
        return {role: logits for role, (logits, _) in named if logits}


def observe(student, taps, teachers, batch, logits_at="full", cfg=None):
    """Run all models on a batch and return what they give, as `Observed`.

    The student runs in training mode, since some layers run only then. Its running statistics and the
    generators of random numbers are restored afterwards.

    Args:
        student: the student's layer.
        taps: its `Taps`.
        teachers: list of `Teacher`.
        batch: {'img': float32 N x 3 x H x W, 'label': as in `Observed`, or absent}.
        logits_at: as in `DistillNet`. Default "full".
        cfg: the student's `Config`, for messages; None for none. Default None.

    Raises:
        UserError: a model takes images of another number of channels, or a user's model fails.
    """
    images = batch["img"]
    with training_without_traces(student), explain_failures(images, student, "the student", cfg, cfg):
        logits = output_list(student(images.clone()))  # a model may overwrite its images
        features = taps.maps(taps.read(), images.shape[2:])
    if logits_at == "head":
        logits = last_head_logits(student, logits)
    constant = frozenset(key for key, tensor in features.items() if tensor.stop_gradient)
    features_alone = cfg is not None and cfg.compares_features_alone
    unreached = _unreached(student, logits, features) if features_alone else ()
    logits = [tensor.detach() for tensor in logits]
    features = {key: tensor.detach() for key, tensor in features.items()}
    outputs = []
    for role, teacher in zip(roles(teachers), teachers):
        with explain_failures(images, teacher.model, role, teacher.cfg, cfg):
            outputs.append((teacher.at_head if logits_at == "head" else teacher)(images))
    of_tokens = (taps.of_tokens, [teacher.taps.of_tokens for teacher in teachers])
    return Observed((logits, features), outputs, batch.get("label"), constant, unreached, of_tokens)


def _unreached(student, logits, features):
    """Return the names of the parameters that logits depend on and features do not."""
    named = [(name, value) for name, value in student.named_parameters() if not value.stop_gradient]
    reached = [_reached(tensors, [value for _, value in named]) for tensors in (logits, features.values())]
    return tuple(name for (name, _), of_logits, tapped in zip(named, *reached) if of_logits and not tapped)


def _reached(tensors, parameters):
    """Return for each parameter whether any of the tensors depends on it."""
    trained = [tensor for tensor in tensors if not tensor.stop_gradient]
    if not (trained and parameters):
        return [False] * len(parameters)
    gradients = paddle.grad(trained, parameters, retain_graph=True, allow_unused=True)
    return [gradient is not None for gradient in gradients]


def training_logits(model, images):
    """Return the list of logits that a model gives for images in training mode; leaves no traces."""
    with training_without_traces(model), explain_failures(images, model, "the model"), paddle.no_grad():
        return output_list(model(images.clone()))


def roles(teachers):
    """Return the name of each teacher in messages: "the teacher", or "teacher 0", ... of several."""
    return ["the teacher"] if len(teachers) == 1 else [f"teacher {k}" for k in range(len(teachers))]


@contextlib.contextmanager
def training_without_traces(model):
    """Put a model into training mode; restore at the end what a forward pass changes."""
    state = {key: value.clone() for key, value in model.state_dict().items() if value.stop_gradient}
    random_state = generator_states()
    try:
        with modes_restored(model):
            model.train()
            yield
    finally:
        set_generators(random_state)
        current = model.state_dict()
        for key, value in state.items():
            current[key].set_value(value)


def check_logits(observed, logits_at="full"):
    """Raise `UserError` if a teacher's logits differ from the student's in classes or size.

    With `logits_at` "head" sizes may differ: the larger logits are resized, and the log says so.
    """
    for role, logits in observed.teacher_logits.items():
        role = role.replace("the ", "")
        for i, (student, teacher) in enumerate(counterparts(observed.student[0], logits)):
            _check_pair(i, student, teacher, role, logits_at)


def _check_pair(i, student, teacher, role, logits_at):
    if student.shape[1] != teacher.shape[1]:
        raise UserError(
            f"output {i} of the student has {student.shape[1]} classes and the {role}'s {teacher.shape[1]}; "
            f"give both models the same num_classes"
        )
    resizing = resize_message(student.shape, teacher.shape, role) if logits_at == "head" else None
    if resizing is not None:
        logger.info(f"distill_loss at the head: output {i}: {resizing}")
    elif student.shape != teacher.shape:
        raise UserError(
            f"output {i} of the student has shape {list(student.shape)} and the {role}'s "
            f"{list(teacher.shape)}; logits are distilled at equal shapes"
        )


def try_distill_loss(
    section, observed, logits_at="full", num_classes=None, batch_size=4, place="distill_loss.types"
):
    """Try each loss of `distill_loss` on the observed logits, and leave no traces.

    Args:
        section: {'types': [...], 'coef': [...]} between the logits of student and teachers.
        observed: `Observed`.
        logits_at: as in `DistillNet`. Default "full".
        num_classes, batch_size: as in `try_loss`.
        place: where the list of the losses is written, for messages.

    Raises:
        UserError: as `try_loss`; the message names the number of the loss.
    """
    # Several teachers are joined into one, so the first one's logits stand for all.
    teacher_logits = [first for first, *_ in counterparts(*observed.teacher_logits.values())]
    student_logits, _ = observed.student
    pairs = compared(section, counterparts(student_logits, teacher_logits))
    random_state = generator_states()
    for i, (loss, factor, pair) in enumerate(zip(section["types"], section["coef"], pairs)):
        if factor == 0:
            continue
        student, teacher = resize_to_smallest(*pair) if logits_at == "head" else pair
        student, teacher = student.clone(), teacher.clone()
        student.stop_gradient = False
        label = label_for(loss, observed.label, student) if logits_at == "head" else observed.label
        name = f"{place}.{i}: {loss_name(loss)}"
        shapes = f"the student's output {i} has shape {student.shape}, the teacher's {teacher.shape}"
        call = _for_users(functools.partial(_compare, loss), loss, name, shapes)
        with restored(loss):
            try_loss(call, student, teacher, label, name, shapes, num_classes, batch_size)
    set_generators(random_state)


def try_task_loss(section, observed, place="loss"):
    """Try each loss between the student's observed logits and the label, and leave no traces.

    Args:
        section: as `weighted_losses` takes it.
        observed: `Observed`, with a label.
        place: where the list of the losses is written, for messages.

    Raises:
        UserError: a loss fails, or gives anything but one finite number.
    """
    logits, random_state = observed.student[0], generator_states()
    for i, (loss, output) in enumerate(zip(section["types"], compared(section, logits))):
        name = f"{place}.{i}: {loss_name(loss)}"
        of_label = list(observed.label.shape)
        shapes = f"the student's output has shape {list(output.shape)}, the label {of_label}"
        with restored(loss):
            value = _for_users(compare, loss, name, shapes)(loss, (output.clone(),), observed.label)
        if not isinstance(value, paddle.Tensor) or value.size != 1:
            actual = (
                f"shape {list(value.shape)}" if isinstance(value, paddle.Tensor) else type(value).__name__
            )
            raise UserError(f"{name} gives {actual}; a loss must be one number: {shapes}")
    set_generators(random_state)


def _compare(loss, student, teacher, label):
    return compare(loss, (student, teacher), label)


def feature_losses(features, observed, num_classes=None, ignore_index=255, batch_size=4):
    """Return a `FeatureLoss` of each `Feature`, made for the observed tensors and tried on them.

    Args:
        features: list of `Feature`.
        observed: `Observed`.
        num_classes, ignore_index: as in `FeatureLoss`.
        batch_size: samples in a batch of the training. Default 4.

    Raises:
        UserError: an adaptor does not name a tensor, a loss or connector does not fit the shapes, no trained
            parameter changes the student's tensor, or as `try_loss`.
    """
    losses = []
    for feature in features:
        shapes = [list(tensor.shape) for tensor in _tensors(feature, observed)]
        _check_use_of_grid(feature, observed, shapes)
        losses.append(FeatureLoss(feature, *shapes, num_classes, ignore_index))
    make_names_unique(losses)
    for loss in losses:
        _check_feature(loss, observed, num_classes, batch_size)
    return losses


def _check_use_of_grid(feature, observed, shapes):
    """Raise `UserError` if a feature states a grid, and neither of its tensors was tokens."""
    if not (feature.states_grid and observed.of_tokens):
        return
    of_student, of_teachers = observed.of_tokens
    if feature.student in of_student or feature.teacher in of_teachers[feature.teacher_index]:
        return
    place = feature.student.grid_place or feature.teacher.grid_place
    raise UserError(
        f"{place}: it is for tokens N x L x C, and neither tensor has that shape: "
        f"{describe_shapes(feature, *shapes)}"
    )


def _tensors(feature, observed):
    """Return the two tensors of a feature, the student's and the teacher's."""
    models = {"student": observed.student, "teacher": observed.teachers[feature.teacher_index]}
    tensors = []
    for role, (_, outputs) in models.items():
        tap = getattr(feature, role)
        if tap not in outputs:
            raise UserError(
                f"{feature.loss_name} asks for the {role}'s {tap!r}, which its adaptor's "
                f"mapping_layers() does not name; {suggestion(tap, outputs)}"
            )
        tensors.append(outputs[tap])
    return tensors


def _check_feature(loss, observed, num_classes, batch_size):
    """Raise `UserError` unless a `FeatureLoss` works as in training; its state is restored afterwards."""
    feature = loss.feature
    student, teacher = _tensors(feature, observed)
    if feature.student in observed.constant and feature.weight != 0:
        raise UserError(
            f"{feature.place('student')}: no trained parameter of the student changes {feature.student}, so "
            f"{loss.name} would train nothing; name a tensor behind a layer that is trained"
        )
    student = student.detach()
    student.stop_gradient = False
    shapes = describe_shapes(feature, student.shape, teacher.shape)
    name, own = f"{feature.place('loss')}: {loss.name}", feature.place("connector")
    connect = _for_users(loss.connect, loss.connector, f"{own}: {loss.name}", shapes, own)
    call = _for_users(loss.unweighted, loss.loss, name, shapes)
    with restored(loss):
        pair = connect(student, teacher)
        try_loss(call, *pair, observed.label, name, shapes, num_classes, batch_size, source=student)


def _for_users(function, component, place, shapes, own_place=None):
    """Return a function whose errors are `UserError`s; an error of one of our own components is a bug.

    Args:
        function: calls the component.
        component: a loss or connector.
        place: the place and name of the component, for messages.
        shapes: the shapes of its tensors, in words.
        own_place: a `UserError` that begins with it has its place already. Default None.
    """

    def call(*arguments):
        try:
            return function(*arguments)
        except UserError as error:
            prefix = "" if own_place and str(error).startswith(own_place) else f"{place}: "
            raise UserError(f"{prefix}{error}: {shapes}") from error
        except Exception as error:
            if type(component).__module__.startswith("paddleseg."):
                raise
            message = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise UserError(f"{place}: {message}: {shapes}") from error

    return call
