import numpy as np
import paddle
import pytest
from loss_reference import binary_targets, loss_and_gradient, normal, one_hot, sigmoid, tensor, valid_nll
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import BCELoss, CrossEntropyLoss, FocalLoss, MultiClassFocalLoss

LABEL = np.array([[[0, 1, 255], [1, 0, 1]], [[0, 0, 1], [255, 255, 0]]])


class TestFocalLoss(TaskLossTests):
    loss = FocalLoss
    cases = ({}, {"alpha": 0.7, "gamma": 0.5}, {"gamma": 0})
    shapes = ((2, 2, 5, 7), (1, 2, 3, 3), (2, 1, 5, 7), (1, 3, 3, 5), (4, 2))
    small = (2, 2, 3, 2)
    refused = [
        ({"alpha": 1.5}, "alpha must be 0 to 1, not 1.5"),
        ({"gamma": -1}, "gamma must be a number of 0 or above, not -1"),
    ]

    @staticmethod
    def formula(logits, label, alpha=0.25, gamma=2.0, ignore_index=255):
        x, y = binary_targets(logits, label, ignore_index)
        q = np.where(y == 1, sigmoid(x), 1 - sigmoid(x))
        return (-np.where(y == 1, alpha, 1 - alpha) * (1 - q) ** gamma * np.log(q)).mean()


class TestMultiClassFocalLoss(TaskLossTests):
    loss = MultiClassFocalLoss
    cases = ({}, {"alpha": 0.5, "gamma": 0.5}, {"gamma": 0})
    refused = [
        ({"alpha": -1}, "alpha must be a number of 0 or above, not -1"),
        ({"alpha": float("inf")}, "alpha must be a number of 0 or above, not inf"),
        ({"gamma": float("nan")}, "gamma must be a number of 0 or above, not nan"),
    ]

    @staticmethod
    def formula(logits, label, alpha=1.0, gamma=2.0, ignore_index=255):
        nll, _ = valid_nll(logits, label, ignore_index)
        return (alpha * (1 - np.exp(-nll)) ** gamma * nll).mean()


def test_without_focus_they_are_cross_entropies():
    logits, label = tensor(normal((2, 2, 2, 3), seed=1)), tensor(LABEL)
    value = float(MultiClassFocalLoss(gamma=0)(logits, label))
    assert value == pytest.approx(float(CrossEntropyLoss()(logits, label)))
    value = float(FocalLoss(alpha=0.5, gamma=0)(logits, label))
    assert value == pytest.approx(float(BCELoss()(logits, label)) / 2)


@pytest.mark.parametrize("gamma", [0, 0.3, 1, 2])
@pytest.mark.parametrize("loss", [FocalLoss, MultiClassFocalLoss])
def test_pixels_decided_for_certain_have_a_finite_gradient(loss, gamma):
    logits = 200 * one_hot(LABEL, 2).astype("float32") - 100
    value, gradient = loss_and_gradient(lambda x: loss(gamma=gamma)(x, tensor(LABEL)), logits)
    assert value == pytest.approx(0, abs=1e-6)
    assert np.isfinite(gradient).all()


def test_refuses_logits_of_another_number_of_classes():
    loss = MultiClassFocalLoss(num_class=3)
    with pytest.raises(UserError, match="num_class is 3, but the model has 2 classes; leave num_class out"):
        loss(paddle.zeros([2, 2, 2, 3]), tensor(LABEL))
