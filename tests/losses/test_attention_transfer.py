import numpy as np
import pytest
from loss_reference import loss_and_gradient, normal, tensor, unit, valid_mask, vectors
from loss_tests import MaskedLossTests

from paddleseg.losses import ATLoss, attention_transfer_loss


def formula(student, teacher, label=None, p=2.0):
    valid = valid_mask(student, label)
    total = 0.0
    for n in range(len(student)):
        a, b = (unit((np.abs(vectors(x)[n][valid[n]]) ** p).mean(axis=1)) for x in (student, teacher))
        total += ((a - b) ** 2).sum()
    return total / max(valid.sum(), 1)


class TestATLoss(MaskedLossTests):
    loss = ATLoss
    cases = ({}, {"p": 0.5}, {"p": 1}, {"p": 3.0})
    refused = [
        ({"p": 0}, "p must be a positive number, not 0"),
        ({"p": float("nan")}, "p must be a positive number, not nan"),
    ]

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label, loss.p)


def test_one_row_by_hand():
    student = np.array([[[3.0, 4.0]]], dtype="float32")[None]
    teacher = np.array([[[1.0, 0.0]]], dtype="float32")[None]
    value = attention_transfer_loss(tensor(student), tensor(teacher), p=1)
    np.testing.assert_allclose(float(value), (0.4**2 + 0.8**2) / 2, rtol=1e-6)


@pytest.mark.parametrize("p", [0.5, 1, 3.0])
def test_features_of_zero_have_a_finite_gradient(p):
    student, teacher = normal((2, 3, 4, 5), seed=3), normal((2, 6, 4, 5), seed=4)
    student[0, :, 0] = 0  # where a power below 1 has no gradient
    value, gradient = loss_and_gradient(lambda x: ATLoss(p=p)(x, tensor(teacher)), student)
    np.testing.assert_allclose(value, formula(student, teacher, p=p), rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_powers_beyond_float32(scale):
    """Attention is of unit length, so that a factor of the features changes nothing."""
    student, teacher = normal((2, 3, 4, 5), seed=3), normal((2, 6, 4, 5), seed=4)
    label = np.zeros((2, 4, 5), "int64")
    label[0, 0], label[1] = 255, 255
    expected = formula(student, teacher, label, p=4.0)
    factor = np.float32(scale)
    teacher[0, :, 0] = 1e-12  # ignored, and the highest of all beside the small ones
    loss = ATLoss(p=4.0)
    value, gradient = loss_and_gradient(
        lambda x: loss(x, tensor(teacher * factor), tensor(label)), student * factor
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0]).max() > 0
