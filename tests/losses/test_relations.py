"""The small losses on features, beyond what `test_methods` sees of them."""

import method_reference as reference
import numpy as np
import pytest
from loss_reference import loss_and_gradient, normal, tensor

from paddleseg.losses import (
    ATLoss,
    FitNetLoss,
    attention_transfer_loss,
    cirkd_mini_batch_loss,
    fitnet_loss,
    ifvd_loss,
)


def test_ifvd_by_hand():
    # One class of the pixels (1, 0) and (0, 1) and its mean (1/2, 1/2): both cosines are 1 / sqrt(2). The
    # teacher's are 1; the ignored pixel, far from everything, is neither compared nor in the mean.
    student = np.array([[[1, 0, 50]], [[0, 1, -9]]], dtype="float32")[None]
    teacher = np.ones((1, 4, 1, 3), dtype="float32")
    label = np.array([[[2, 2, 255]]])
    value = ifvd_loss(tensor(student), tensor(teacher), tensor(label), num_classes=3)
    np.testing.assert_allclose(float(value), (1 - 1 / np.sqrt(2)) ** 2, rtol=1e-5)


def test_ifvd_leaves_out_labels_of_no_class():
    student, teacher = normal((1, 3, 4, 4), seed=1), normal((1, 3, 4, 4), seed=2)
    label = np.random.RandomState(0).randint(-1, 5, (1, 4, 4))
    value = ifvd_loss(tensor(student), tensor(teacher), tensor(label), num_classes=3)
    np.testing.assert_allclose(float(value), reference.ifvd(student, teacher, label, 3), rtol=1e-5)


@pytest.mark.parametrize("p", [0.5, 1, 3.0])
def test_powers_of_attention_transfer(p):
    student, teacher = normal((2, 3, 4, 5), seed=3), normal((2, 6, 4, 5), seed=4)
    student[0, :, 0] = 0  # of which a power below 1 has no gradient
    value, gradient = loss_and_gradient(lambda x: ATLoss(p=p)(x, tensor(teacher)), student)
    np.testing.assert_allclose(value, reference.attention_transfer(student, teacher, p=p), rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_powers_beyond_float32(scale):
    """Attention is of unit length, so that a factor of the features changes nothing."""
    student, teacher = normal((2, 3, 4, 5), seed=3), normal((2, 6, 4, 5), seed=4)
    label = np.zeros((2, 4, 5), "int64")
    label[0, 0], label[1] = 255, 255
    expected = reference.attention_transfer(student, teacher, label, p=4.0)
    factor = np.float32(scale)
    teacher[0, :, 0] = 1e-12  # ignored, and the highest of all beside the small ones
    loss = ATLoss(p=4.0)
    value, gradient = loss_and_gradient(
        lambda x: loss(x, tensor(teacher * factor), tensor(label)), student * factor
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0]).max() > 0


def test_attention_transfer_by_hand():
    student = np.array([[[3.0, 4.0]]], dtype="float32")[None]
    teacher = np.array([[[1.0, 0.0]]], dtype="float32")[None]
    value = attention_transfer_loss(tensor(student), tensor(teacher), p=1)
    np.testing.assert_allclose(float(value), (0.4**2 + 0.8**2) / 2, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 3), (2, 3, 7)], ids=str)
def test_fitnet_is_the_mean_squared_error(shape):
    student, teacher = normal(shape, seed=5), normal(shape, seed=6)
    expected = ((student - teacher) ** 2).mean()
    for loss in (FitNetLoss(), fitnet_loss):
        np.testing.assert_allclose(float(loss(tensor(student), tensor(teacher))), expected, rtol=1e-5)


def test_fitnet_leaves_out_ignored_samples_of_vectors():
    student, teacher = normal((4, 3), seed=7), normal((4, 3), seed=8)
    value = fitnet_loss(tensor(student), tensor(teacher), tensor(np.array([1, 255, 0, 255])))
    np.testing.assert_allclose(float(value), ((student - teacher)[::2] ** 2).mean(), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_cirkd_with_an_image_that_is_all_ignored(temperature):
    student, teacher = normal((3, 4, 3, 2), seed=9), normal((3, 5, 3, 2), seed=10)
    label = np.zeros((3, 3, 2), dtype="int64")
    label[1] = label[0, 0] = 255
    value, gradient = loss_and_gradient(
        lambda x: cirkd_mini_batch_loss(x, tensor(teacher), tensor(label), temperature=temperature), student
    )
    expected = reference.cirkd_mini_batch(student, teacher, label, temperature)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert (gradient[1] == 0).all()
    assert (gradient[0, :, 0] == 0).all()
    assert np.abs(gradient[2]).max() > 0
