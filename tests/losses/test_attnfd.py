import method_reference as reference
import numpy as np
import paddle
import pytest
from loss_reference import loss_and_gradient, normal, tensor
from methods import state_of

from paddleseg.losses import AttnFDLoss, attnfd_loss
from paddleseg.losses.attnfd import CBAM


def test_opposite_features_by_hand():
    x = np.array([3.0, 4.0], dtype="float32").reshape(1, 2, 1, 1)
    np.testing.assert_allclose(float(attnfd_loss(tensor(x), tensor(7 * x))), 0, atol=1e-12)
    np.testing.assert_allclose(float(attnfd_loss(tensor(x), tensor(-2 * x))), 4, rtol=1e-6)
    two = np.concatenate([x, x])
    np.testing.assert_allclose(float(attnfd_loss(tensor(two), tensor(-two))), 4 / 2, rtol=1e-6)


@pytest.mark.parametrize(("student_channels", "teacher_channels"), [(40, 40), (33, 48)])
def test_equals_the_formula_with_a_hidden_layer_of_several_units(student_channels, teacher_channels):
    loss = AttnFDLoss(student_channels, teacher_channels)
    assert loss.attention.mlp[0].weight.shape == [student_channels, 2]
    student, teacher = (
        normal((2, student_channels, 3, 5), seed=1),
        normal((2, teacher_channels, 3, 5), seed=2),
    )
    value = loss(tensor(student), tensor(teacher))
    np.testing.assert_allclose(float(value), reference.attnfd(student, teacher, state_of(loss)), rtol=1e-5)


def test_the_running_mean_takes_a_hundredth_of_each_batch():
    attention = CBAM(4)
    attention(tensor(normal((2, 4, 5, 5), seed=3) + 1))
    state = attention.state_dict()
    assert 0 < abs(float(state["spatial.1._mean"])) < 0.1
    assert float(state["spatial.1._variance"]) > 0.98


def test_equal_maxima_share_the_gradient():
    attention = CBAM(2)
    _, gradient = loss_and_gradient(lambda x: attention(x).sum(), np.ones((1, 2, 8, 8), dtype="float32"))
    assert np.abs(gradient).max() < 10


def test_all_its_parameters_are_trained():
    loss = AttnFDLoss(4, 6)
    loss(tensor(normal((2, 4, 5, 5), seed=4)), tensor(normal((2, 6, 5, 5), seed=5))).backward()
    assert all(p.grad is not None for p in loss.parameters() if not p.stop_gradient)
    assert isinstance(AttnFDLoss(4, 4).align, paddle.nn.Identity)
