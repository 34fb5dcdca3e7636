import numpy as np
import paddle
import pytest
from loss_reference import log_softmax, loss_and_gradient, normal, one_hot, tensor
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import LovaszSoftmaxLoss, lovasz_softmax_loss


def formula(logits, label, ignore_index=255, classes="present"):
    """The extension as an integral: of the Jaccard loss of the pixels with an error of t or more, over t."""
    p, valid = np.exp(log_softmax(logits, 1)), label != ignore_index
    losses = []
    for c in range(logits.shape[1]) if isinstance(classes, str) else classes:
        y = label[valid] == c
        if classes == "present" and not y.any():
            continue
        errors = np.abs(y - p[:, c][valid])
        steps = np.unique(np.append(errors, 0.0))
        total = 0.0
        for low, high in zip(steps, steps[1:]):
            wrong = errors >= high
            total += (high - low) * wrong.sum() / (y | wrong).sum()
        losses.append(total)
    return np.mean(losses)


class TestLovaszSoftmaxLoss(TaskLossTests):
    loss = LovaszSoftmaxLoss
    cases = ({}, {"classes": "all"}, {"classes": [1]})
    formula = staticmethod(formula)
    refused = [
        ({"classes": "some"}, "must be 'present', 'all' or a list of classes, not 'some'"),
        ({"classes": []}, r"a list of classes, not \[\]"),
        ({"classes": [0, -1]}, r"a list of classes, not \[0, -1\]"),
    ]


def test_a_hard_prediction_costs_one_minus_iou():
    label = np.array([[[0, 0, 0, 1, 1, 1, 1, 255]]])
    predicted = np.array([[[0, 0, 1, 1, 1, 0, 1, 0]]])
    # Class 0: two of three right, one wrong, 2 of 4 in the union. Class 1: 3 of 5.
    logits = tensor((60 * one_hot(predicted, 2)).astype("float32"))
    assert float(LovaszSoftmaxLoss()(logits, tensor(label))) == pytest.approx(1 - (2 / 4 + 3 / 5) / 2)


def test_a_perfect_prediction_costs_nothing():
    label = np.arange(24).reshape(2, 3, 4) % 3
    logits = tensor((60 * one_hot(label, 3)).astype("float32"))
    assert float(LovaszSoftmaxLoss()(logits, tensor(label))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", ["present", "all", [0, 3], (2,)], ids=str)
def test_classes_that_are_absent(classes):
    logits, label = normal((1, 4, 5, 3), seed=2), np.arange(15).reshape(1, 5, 3) % 2
    value, gradient = loss_and_gradient(
        lambda x: lovasz_softmax_loss(x, tensor(label), classes=classes), logits
    )
    np.testing.assert_allclose(value, formula(logits, label, classes=classes), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_refuses_a_class_beyond_the_models():
    with pytest.raises(UserError, match="classes holds 3, but the model has 3, counted from 0"):
        LovaszSoftmaxLoss(classes=[1, 3])(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))
