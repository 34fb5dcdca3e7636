import numpy as np
import pytest
from loss_reference import log_softmax, loss_and_gradient, normal, tensor, valid_mask, vectors
from loss_tests import MaskedLossTests

from paddleseg.losses import DISTLoss, dist_loss


def formula(student, teacher, label=None, beta=1.0, gamma=1.0, temperature=1.0):
    valid = valid_mask(student, label)
    if not valid.any():
        return 0.0
    P, Q = (np.exp(log_softmax(vectors(x)[valid] / temperature, 1)) for x in (student, teacher))
    rows = np.mean([pearson(p, q) for p, q in zip(P, Q)])
    columns = np.mean([pearson(p, q) for p, q in zip(P.T, Q.T)])
    return temperature**2 * (beta * (1 - rows) + gamma * (1 - columns))


def pearson(x, y):
    x, y = x - x.mean(), y - y.mean()
    return (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-8)


class TestDISTLoss(MaskedLossTests):
    loss = DISTLoss
    cases = (
        {},
        {"beta": 2.0, "gamma": 0},
        {"beta": 0, "gamma": 0.5, "temperature": 4.0},
        {"temperature": 0.5},
    )
    any_channels = False
    other_shapes = ((6, 5), (2, 4, 7))
    refused = [
        ({"beta": -1}, "beta must be a number of 0 or above, not -1"),
        ({"gamma": -0.5}, "gamma must be a number of 0 or above, not -0.5"),
        ({"temperature": 0}, "temperature must be a positive number, not 0"),
    ]

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label, loss.beta, loss.gamma, loss.temperature)


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


def test_with_two_classes_only_the_columns_teach():
    student, teacher = (normal((2, 2, 4, 5), seed) for seed in (0, 1))
    value, of_rows = loss_and_gradient(lambda x: dist_loss(x, tensor(teacher), gamma=0), student)
    P, Q = (np.exp(log_softmax(x, 1))[:, 0] for x in (student, teacher))
    np.testing.assert_allclose(value, 1 - np.mean(np.sign((P - 0.5) * (Q - 0.5))), rtol=1e-4)
    _, of_columns = loss_and_gradient(lambda x: dist_loss(x, tensor(teacher), beta=0), student)
    assert np.abs(of_rows).max() < 0.01 * np.abs(of_columns).max()


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
    np.testing.assert_allclose(value, formula(student, teacher), rtol=1e-5)
    assert np.abs(gradient[:, 2]).max() > 0
