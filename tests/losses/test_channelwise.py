import numpy as np
import paddle
import pytest
from loss_reference import divergence, extremes, log_softmax, loss_and_gradient, normal, tensor, valid_mask
from loss_tests import MaskedLossTests

from paddleseg.errors import UserError
from paddleseg.losses import SegChannelwiseLoss, channelwise_loss


def formula(student, teacher, label=None, temperature=4.0):
    """One distribution after the other, as the paper writes it."""
    if student.ndim == 2:
        student, teacher = student[:, None], teacher[:, None]
    valid = valid_mask(student, label)
    values = [
        divergence(student[n, c][valid[n]], teacher[n, c][valid[n]], 0, temperature)
        for n, c in np.ndindex(*student.shape[:2])
        if valid[n].any()
    ]
    return np.mean(values) if values else 0.0


class TestSegChannelwiseLoss(MaskedLossTests):
    loss = SegChannelwiseLoss
    cases = ({}, {"temperature": 1}, {"temperature": 0.5})
    any_channels = False
    other_shapes = ((2, 3, 7), (1, 2, 3, 2, 5))
    refused = [({"temperature": 0}, "temperature must be a positive number, not 0")]

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label, loss.temperature)


def test_two_axes_are_samples_and_positions():
    student, teacher = normal((3, 9), seed=1), normal((3, 9), seed=2)
    value, gradient = loss_and_gradient(lambda x: channelwise_loss(x, tensor(teacher)), student)
    np.testing.assert_allclose(value, formula(student, teacher), rtol=1e-5)
    p, q = (np.exp(log_softmax(x / 4.0, 1)) for x in (teacher, student))
    np.testing.assert_allclose(gradient, 4.0 * (q - p) / 3, rtol=1e-4, atol=1e-6)


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
    student, teacher = tensor(normal((2, 3, 4, 5), seed=3)), tensor(normal((2, 3, 4, 5), seed=4))
    assert SegChannelwiseLoss().temperature == 4.0
    assert float(channelwise_loss(student, teacher)) == float(channelwise_loss(student, teacher, 4.0))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_exact_for_extreme_features(temperature):
    student, teacher = extremes((2, 3, 5, 5), seed=9), extremes((2, 3, 5, 5), seed=10)
    value, gradient = loss_and_gradient(lambda x: channelwise_loss(x, tensor(teacher), temperature), student)
    np.testing.assert_allclose(value, formula(student, teacher, temperature=temperature), rtol=1e-5)
    p, q = (
        np.exp(log_softmax(x.reshape(6, 25) / temperature, 1)).reshape(x.shape) for x in (teacher, student)
    )
    np.testing.assert_allclose(gradient, temperature * (q - p) / 6, rtol=1e-4, atol=1e-7)


def test_the_function_refuses_a_negative_temperature():
    with pytest.raises(UserError, match="temperature must be a positive number, not -1"):
        channelwise_loss(paddle.zeros([1, 2]), paddle.zeros([1, 2]), temperature=-1)


def test_a_label_of_whole_samples_leaves_out_samples():
    student, teacher = (paddle.to_tensor(np.random.default_rng(i).normal(size=(3, 5))) for i in (0, 1))
    label = paddle.to_tensor([0, 255, 1])
    valid = paddle.to_tensor([0, 2])
    expected = channelwise_loss(student.index_select(valid), teacher.index_select(valid))
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
    valid = label[0] == 0
    value, gradient = loss_and_gradient(
        lambda x: channelwise_loss(x, tensor(teacher), label=tensor(label) if masked else None), student
    )
    np.testing.assert_allclose(value, formula(student[..., valid], teacher[..., valid]), rtol=1e-5)
    p, q = (np.exp(log_softmax(x[..., valid] / 4.0, 2)) for x in (teacher, student))
    expected = 4.0 * (q - p) / 4
    error = np.linalg.norm(gradient[..., valid] - expected) / np.linalg.norm(expected)
    assert error < 1e-5
    assert not gradient[..., ~valid].any()
