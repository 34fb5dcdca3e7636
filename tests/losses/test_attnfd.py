import numpy as np
import paddle
import pytest
from loss_reference import batch_norm, conv, loss_and_gradient, normal, sigmoid, state_of, tensor, unit
from loss_tests import DistillationLossTests

from paddleseg.losses import AttnFDLoss, attnfd_loss
from paddleseg.losses.attnfd import CBAM


def formula(loss, student, teacher, label=None):
    state = state_of(loss)
    x = cbam(np.asarray(student, dtype=np.float64), state)
    if "align.0.weight" in state:
        x = batch_norm(conv(x, state["align.0.weight"]), state, "align.1")
    y = np.asarray(teacher, dtype=np.float64)
    y = y * sigmoid(y.mean(axis=(2, 3)) + y.max(axis=(2, 3)))[:, :, None, None]
    y = y * sigmoid(y.max(axis=1) + y.mean(axis=1))[:, None]
    difference = unit(x.ravel()) - unit(y.ravel())
    return (difference**2).sum() / len(x)


def cbam(x, state):
    def mlp(v):
        hidden = np.maximum(v @ state["attention.mlp.0.weight"] + state["attention.mlp.0.bias"], 0)
        return hidden @ state["attention.mlp.2.weight"] + state["attention.mlp.2.bias"]

    x = x * sigmoid(mlp(x.mean(axis=(2, 3))) + mlp(x.max(axis=(2, 3))))[:, :, None, None]
    summary = np.stack([x.max(axis=1), x.mean(axis=1)], axis=1)
    spatial = conv(summary, state["attention.spatial.0.weight"])
    return x * sigmoid(batch_norm(spatial, state, "attention.spatial.1"))


class TestAttnFDLoss(DistillationLossTests):
    loss = AttnFDLoss
    formula = staticmethod(formula)
    refused = [({}, "AttnFDLoss needs student_channels")]

    def build(self, student_channels, teacher_channels):
        return AttnFDLoss(student_channels, teacher_channels)


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
    student = normal((2, student_channels, 3, 5), seed=1)
    teacher = normal((2, teacher_channels, 3, 5), seed=2)
    value = loss(tensor(student), tensor(teacher))
    np.testing.assert_allclose(float(value), formula(loss, student, teacher), rtol=1e-5)


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
