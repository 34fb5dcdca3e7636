"""Losses are tried before training: which give no gradient, and which must not be refused."""

import numpy as np
import paddle
import pytest

from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.feature_losses import FEATURE_LOSSES
from paddleseg.distill.trial import restored, try_loss
from paddleseg.errors import UserError
from paddleseg.losses.combine import compare
from paddleseg.utils import signature

RNG = np.random.default_rng(5)


def normal(*shape):
    """Return a float32 tensor of normal numbers."""
    return paddle.to_tensor(RNG.standard_normal(shape).astype("float32"))


def attempt(loss, student, teacher, label=None, **more):
    """Try a loss, by its name, its section or as a function, as before a training."""
    if isinstance(loss, str):
        loss = {"type": loss}
    if isinstance(loss, dict):
        channels = student.shape[1]
        known = {"num_classes": 2, "student_channels": channels, "teacher_channels": channels}
        names = signature.parameters(FEATURE_LOSSES[loss["type"]])
        loss = {**{key: value for key, value in known.items() if key in names}, **loss}
        loss = build_component(loss, FEATURE_LOSSES, "loss")
    student = student.clone().detach()
    student.stop_gradient = False

    def call(*pair):
        return compare(loss, pair[:2], pair[2])

    with restored(loss):
        try_loss(call, student, teacher, label, "c.yml: loss", "their shapes", 2, **more)


ONE_POSITION = ["ATLoss", "SegChannelwiseLoss", "SegPairWiseLoss", "IFVDLoss", "CIRKDMiniBatchLoss"]
ONE_CHANNEL = ["KLLoss", "DISTLoss", "IFVDLoss", "CIRKDMiniBatchLoss"]
SOUND = [
    *dict.fromkeys(ONE_POSITION + ONE_CHANNEL),
    "L1Loss",
    "L2Loss",
    "SmoothL1Loss",
    "FitNetLoss",
    "RKDLoss",
    "RKdAngle",
    "RkdDistance",
    "MGDLoss",
    "AttnFDLoss",
    "CIRKDMemoryLoss",
    {"type": "DMLLoss", "act": "softmax", "axis": 1},
]


@pytest.mark.parametrize("loss", ONE_POSITION)
def test_a_loss_over_positions_of_maps_with_one_position_is_refused(loss):
    label = paddle.zeros([2, 1, 1], "int64")
    for teacher in (normal(2, 5, 1, 1), 1000 * normal(2, 5, 1, 1)):
        with pytest.raises(UserError, match="^c.yml: loss gives the student no gradient.*: their shapes"):
            attempt(loss, normal(2, 5, 1, 1), teacher, label)


@pytest.mark.parametrize("loss", ONE_CHANNEL)
def test_a_loss_over_channels_of_maps_with_one_channel_is_refused(loss):
    label = paddle.to_tensor(RNG.integers(0, 2, (2, 4, 4)))
    with pytest.raises(UserError, match="^c.yml: loss gives the student no gradient"):
        attempt(loss, normal(2, 1, 4, 4), normal(2, 1, 4, 4), label)


@pytest.mark.parametrize("loss", SOUND, ids=str)
@pytest.mark.parametrize("teacher", ["other", "equal", "far"])
def test_a_sound_loss_is_accepted(loss, teacher):
    student = normal(2, 5, 4, 4)
    teacher = {"other": normal(2, 5, 4, 4), "equal": student, "far": 30 * normal(2, 5, 4, 4)}[teacher]
    attempt(loss, student, teacher, paddle.to_tensor(RNG.integers(0, 2, (2, 4, 4))))
    attempt(loss, paddle.zeros_like(student), paddle.zeros_like(student), paddle.zeros([2, 4, 4], "int64"))


def test_a_tiny_gradient_is_one():
    attempt(lambda x, y: 1e-6 * ((x - y) ** 2).mean(), normal(2, 64, 32, 32), normal(2, 64, 32, 32))


def test_a_loss_of_ignored_pixels_alone_is_accepted():
    ignored = paddle.full([2, 4, 4], 255, "int64")
    for loss in ("CIRKDMiniBatchLoss", "IFVDLoss"):
        attempt(loss, normal(2, 5, 4, 4), normal(2, 5, 4, 4), ignored)

    def of_valid_pixels(x, y, label):
        return (((x - y) ** 2).mean(1) * (label != 255).astype(x.dtype)).mean()

    attempt(of_valid_pixels, normal(2, 5, 4, 4), normal(2, 5, 4, 4), ignored)


def test_a_loss_where_the_teacher_is_confident_is_accepted():
    def of_confident_pixels(x, y):
        return (((x - y) ** 2) * (y > 3).astype(x.dtype)).mean()

    attempt(of_confident_pixels, normal(2, 5, 4, 4), 0.1 * normal(2, 5, 4, 4))


def test_a_loss_that_takes_float32_and_two_samples_alone_is_accepted():
    def narrow(x, y):
        assert (x.dtype, x.shape[0]) == (paddle.float32, 2)
        return (x - y).abs().mean()

    x = normal(2, 5, 4, 4)
    attempt(narrow, x, x)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: y.mean(),
        lambda x, y: paddle.ones([]),
        lambda x, y: (x.detach() - y).abs().mean(),
        lambda x, y: (x - y).sign().sum(),
        lambda x, y: (paddle.nn.functional.softmax(x, 1).sum(1) - 1).mean() * 1e3,
    ],
)
def test_a_loss_without_a_gradient_is_refused(loss):
    with pytest.raises(
        UserError, match="^c.yml: loss gives the student no gradient, so it would train nothing"
    ):
        attempt(loss, normal(2, 5, 4, 4), normal(2, 5, 4, 4))


def test_a_gradient_that_is_not_finite_is_refused():
    with pytest.raises(UserError, match="^c.yml: loss has no finite gradient: their shapes"):
        attempt(lambda x, y: (x - x.detach()).sqrt().sum(), normal(2, 5, 4, 4), normal(2, 5, 4, 4))


def test_a_loss_between_samples_is_refused_in_batches_of_two():
    student, teacher = normal(2, 5, 4, 4), normal(2, 5, 4, 4)
    with pytest.raises(UserError, match="no gradient"):
        attempt("RkdDistance", student, teacher, batch_size=2)
    attempt("RkdDistance", student, teacher, batch_size=3)


def test_a_loss_that_overwrites_the_teachers_tensor_is_refused():
    with pytest.raises(UserError, match="^c.yml: loss overwrites the teacher's tensor in place"):
        attempt(lambda x, y: (x - y.scale_(0.5)).abs().mean(), normal(2, 5, 4, 4), normal(2, 5, 4, 4))


def test_attempts_draw_no_random_numbers_of_the_training():
    def noisy(x, y):
        return (x - y).square().mean() * paddle.rand([1]).sum() * np.random.rand()

    x = normal(2, 5, 4, 4)
    drawn = []
    for run in (noisy, lambda *pair: attempt(noisy, *pair)):  # the trial's own pass draws, too
        paddle.seed(2)
        np.random.seed(2)
        run(x, x)
        drawn.append((float(paddle.rand([1])), np.random.rand()))
    assert drawn[0] == drawn[1]
