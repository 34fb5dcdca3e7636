import method_reference as reference
import numpy as np
import paddle
import pytest
from loss_reference import loss_and_gradient, normal, tensor

from paddleseg.losses import DISTLoss, dist_loss


@pytest.mark.parametrize(
    ("beta", "gamma", "temperature"), [(1, 1, 1), (2.0, 0, 1), (0, 0.5, 4.0), (1, 2, 0.5)], ids=str
)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (6, 5), (2, 4, 7)], ids=str)
def test_equals_the_formula(shape, beta, gamma, temperature):
    student, teacher = normal(shape, seed=1), normal(shape, seed=2)
    loss = DISTLoss(beta=beta, gamma=gamma, temperature=temperature)
    as_map = [x.reshape([*x.shape[:2], -1, 1]) for x in (student, teacher)]
    expected = reference.dist(*as_map, None, beta, gamma, temperature)
    np.testing.assert_allclose(float(loss(tensor(student), tensor(teacher))), expected, rtol=1e-5)


def test_two_pixels_of_three_classes_by_hand():
    # P = (1/2, 1/4, 1/4), (1/4, 1/2, 1/4); Q = (1/2, 1/4, 1/4), (1/4, 1/4, 1/2). In the rows r is 1 and
    # -1/2, in the columns 1, then 0 and 0 where Q and P do not vary.
    student = np.log([[[[0.5, 0.25]], [[0.25, 0.5]], [[0.25, 0.25]]]]).astype("float32")
    teacher = np.log([[[[0.5, 0.25]], [[0.25, 0.25]], [[0.25, 0.5]]]]).astype("float32")
    loss = dist_loss(tensor(student), tensor(teacher))
    np.testing.assert_allclose(float(loss), (1 - 0.5 / 2) + (1 - 1 / 3), rtol=1e-5)


def test_a_linear_change_of_the_probabilities_costs_nothing():
    teacher = np.random.RandomState(0).dirichlet(np.ones(4), (1, 5, 6)).transpose(0, 3, 1, 2)
    student = 0.1 * teacher + 0.9 / 4
    logits = [tensor(np.log(p).astype("float32")) for p in (student, teacher)]
    assert abs(float(dist_loss(*logits))) < 1e-5


@pytest.mark.parametrize("classes", [1, 4])
def test_constant_rows_correlate_with_nothing(classes):
    teacher = tensor(normal((1, classes, 3, 4), seed=3))
    value, gradient = loss_and_gradient(
        lambda x: dist_loss(x, teacher), np.full((1, classes, 3, 4), 0.3, dtype="float32")
    )
    np.testing.assert_allclose(value, 2.0, rtol=1e-6)
    assert (gradient == 0).all()


def test_a_class_that_both_find_improbable_still_correlates():
    """A column far below 1e-8 has as exact a correlation in float32 as any other."""
    student, teacher = normal((2, 3, 6, 7), seed=4), normal((2, 3, 6, 7), seed=5)
    for logits in (student, teacher):
        logits[:, 2] -= 12
    value, gradient = loss_and_gradient(lambda x: dist_loss(x, tensor(teacher)), student)
    np.testing.assert_allclose(value, reference.dist(student, teacher), rtol=1e-5)
    assert np.abs(gradient[:, 2]).max() > 0


def test_float64_stays_float64():
    student, teacher = (normal((2, 3, 4, 5), seed=s).astype("float64") for s in (6, 7))
    value = dist_loss(tensor(student), tensor(teacher))
    assert value.dtype == paddle.float64
    np.testing.assert_allclose(float(value), reference.dist(student, teacher), rtol=1e-12)
