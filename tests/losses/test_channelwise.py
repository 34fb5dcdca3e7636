import numpy as np
import paddle
import pytest
from loss_reference import (
    central_differences,
    divergence,
    extremes,
    log_softmax,
    loss_and_gradient,
    normal,
    tensor,
)

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses import SegChannelwiseLoss, channelwise_loss

SHAPES = [(2, 3, 5, 7), (1, 4, 3, 3), (2, 1, 5, 3), (2, 3, 1, 1), (2, 3, 7), (3, 9), (1, 2, 3, 2, 5)]


def reference(student, teacher, temperature=4.0):
    """The sum over channels and samples, one distribution after the other, as the paper writes it."""
    if student.ndim == 2:
        student, teacher = student[:, None], teacher[:, None]
    N, C = student.shape[:2]
    total = sum(
        divergence(student[n, c].ravel(), teacher[n, c].ravel(), 0, temperature)
        for n in range(N)
        for c in range(C)
    )
    return total / (N * C)


@pytest.mark.parametrize("temperature", [1, 4.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_formula(shape, temperature):
    student, teacher = normal(shape, seed=1), normal(shape, seed=2)
    value = SegChannelwiseLoss(temperature=temperature)(tensor(student), tensor(teacher))
    np.testing.assert_allclose(float(value), reference(student, teacher, temperature), rtol=1e-5, atol=1e-7)
    assert value.shape == []


def test_two_positions_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 log(3/2) + 1/4 log(1/2) = 0.1308120; T^2 = 4.
    teacher = 2 * np.log(np.array([[[[3.0], [1.0]]]], dtype="float32"))
    value = channelwise_loss(paddle.zeros([1, 1, 2, 1]), tensor(teacher), temperature=2.0)
    np.testing.assert_allclose(float(value), 4 * 0.1308120, rtol=1e-5)


def test_every_position_of_a_channel_competes():
    # Of constant rows, only a softmax over the height as well can tell one row from another.
    rows = np.broadcast_to(np.arange(4.0, dtype="float32")[:, None], (1, 1, 4, 5)).copy()
    assert float(channelwise_loss(paddle.zeros([1, 1, 4, 5]), tensor(rows), temperature=1.0)) > 0.1


def test_default_temperature_is_the_papers():
    student, teacher = normal((2, 3, 4, 5), seed=3), normal((2, 3, 4, 5), seed=4)
    expected = reference(student, teacher, 4.0)
    for loss in (SegChannelwiseLoss(), channelwise_loss):
        np.testing.assert_allclose(float(loss(tensor(student), tensor(teacher))), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 3, 2), (2, 5)], ids=str)
def test_gradient(shape):
    student, teacher = normal(shape, seed=5), normal(shape, seed=6)
    _, gradient = loss_and_gradient(lambda x: channelwise_loss(x, tensor(teacher)), student)
    expected = central_differences(lambda x: reference(x, teacher), student)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_teacher_gets_no_gradient():
    student = paddle.to_tensor(normal((1, 3, 2, 2), seed=7), stop_gradient=False)
    teacher = paddle.to_tensor(normal((1, 3, 2, 2), seed=8), stop_gradient=False)
    channelwise_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_extreme_features(temperature):
    student, teacher = extremes((2, 3, 5, 5), seed=9), extremes((2, 3, 5, 5), seed=10)
    value, gradient = loss_and_gradient(lambda x: channelwise_loss(x, tensor(teacher), temperature), student)
    np.testing.assert_allclose(value, reference(student, teacher, temperature), rtol=1e-5)
    p, q = (
        np.exp(log_softmax(x.reshape(6, 25) / temperature, 1)).reshape(x.shape) for x in (teacher, student)
    )
    np.testing.assert_allclose(gradient, temperature * (q - p) / 6, rtol=1e-4, atol=1e-7)


def test_half_precision_is_computed_in_float32():
    student, teacher = (tensor(normal((1, 3, 4, 4), seed=s)).astype("bfloat16") for s in (11, 12))
    value = SegChannelwiseLoss()(student, teacher)
    assert value.dtype == paddle.float32
    wide = [features.astype("float32").numpy() for features in (student, teacher)]
    np.testing.assert_allclose(float(value), reference(*wide), rtol=1e-5)


def test_shapes_that_differ():
    with pytest.raises(UserError, match=r"student \[1, 3, 2, 2\] and teacher \[1, 5, 2, 2\] differ"):
        channelwise_loss(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 5, 2, 2]))


def test_one_axis():
    with pytest.raises(UserError, match=r"need two axes at least, and have the shape \[3\]"):
        channelwise_loss(paddle.zeros([3]), paddle.zeros([3]))


def test_temperature_that_is_none():
    with pytest.raises(UserError, match="temperature must be a positive number, not 0"):
        SegChannelwiseLoss(temperature=0)
    with pytest.raises(UserError, match="temperature must be a positive number, not -1"):
        channelwise_loss(paddle.zeros([1, 2]), paddle.zeros([1, 2]), temperature=-1)


def test_is_registered_as_a_distillation_loss():
    assert manager.LOSSES["SegChannelwiseLoss"]().against == "teacher"


def test_a_label_of_whole_samples_leaves_out_samples():
    student, teacher = (paddle.to_tensor(np.random.default_rng(i).normal(size=(3, 5))) for i in (0, 1))
    label = paddle.to_tensor([0, 255, 1])
    kept = paddle.to_tensor([0, 2])
    expected = channelwise_loss(student.index_select(kept), teacher.index_select(kept))
    assert float(channelwise_loss(student, teacher, label=label)) == pytest.approx(float(expected))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("noise", [None, 0.1, 0.01])
def test_large_maps_of_a_student_far_from_and_near_the_teacher(noise, masked):
    """Of 16384 outcomes, rounding errors of the normalisers would hide a small divergence."""
    shape = (2, 2, 128, 128)
    teacher = normal(shape, seed=1)
    student = normal(shape, seed=2) if noise is None else teacher + normal(shape, seed=2, scale=noise)
    label = np.zeros((2, 128, 128), "int64")
    label[:, 40:90, 30:] = 255 if masked else 0
    kept = label[0] == 0
    value, gradient = loss_and_gradient(
        lambda x: channelwise_loss(x, tensor(teacher), label=tensor(label) if masked else None), student
    )
    np.testing.assert_allclose(value, reference(student[..., kept], teacher[..., kept]), rtol=1e-5)
    p, q = (np.exp(log_softmax(x[..., kept] / 4.0, 2)) for x in (teacher, student))
    expected = 4.0 * (q - p) / 4
    error = np.linalg.norm(gradient[..., kept] - expected) / np.linalg.norm(expected)
    assert error < 1e-5
    assert not gradient[..., ~kept].any()
