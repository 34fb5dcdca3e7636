import numpy as np
import paddle
import pytest
from loss_reference import log_softmax, normal, one_hot, tensor
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import DiceLoss


class TestDiceLoss(TaskLossTests):
    loss = DiceLoss
    cases = ({}, {"smooth": 0})
    refused = [
        ({"smooth": -1}, "smooth must be a number of 0 or above, not -1"),
        ({"smooth": float("inf")}, "smooth must be a number of 0 or above, not inf"),
        ({"weight": [1, -1]}, r"weight must hold numbers that are 0 or more, not \[1, -1\]"),
        ({"weight": [0, 0]}, "weight is 0 for all classes, and nothing would be learned"),
    ]

    @staticmethod
    def formula(logits, label, weight=None, ignore_index=255, smooth=1.0):
        p, y = np.exp(log_softmax(logits, 1)), one_hot(label, logits.shape[1])
        total = 0.0
        for n in range(logits.shape[0]):
            valid = label[n] != ignore_index
            for c in range(logits.shape[1]):
                overlap, both = (p[n, c] * y[n, c])[valid].sum(), (p[n, c] + y[n, c])[valid].sum()
                coefficient = (2 * overlap + smooth) / (both + smooth) if both + smooth else 1.0
                total += (1 if weight is None else weight[c]) * (1 - coefficient)
        return total / (logits.shape[0] * logits.shape[1])


def test_a_hard_prediction_costs_one_minus_dice():
    label = np.array([[[0, 0, 0, 1, 1, 1, 1, 255]]])
    predicted = np.array([[[0, 0, 1, 1, 1, 0, 1, 0]]])
    # Class 0: two of three right, one wrong: Dice 4 / 6. Class 1: Dice 6 / 8.
    logits = tensor((60 * one_hot(predicted, 2)).astype("float32"))
    assert float(DiceLoss(smooth=0)(logits, tensor(label))) == pytest.approx(1 - (4 / 6 + 6 / 8) / 2)


@pytest.mark.parametrize("smooth", [0, 1.0])
def test_a_perfect_prediction_costs_nothing(smooth):
    label = np.arange(24).reshape(2, 3, 4) % 3
    logits = tensor((60 * one_hot(label, 3)).astype("float32"))
    assert float(DiceLoss(smooth=smooth)(logits, tensor(label))) == pytest.approx(0, abs=1e-6)


def test_weighs_the_classes():
    logits, label = normal((2, 3, 4, 5), seed=1), np.arange(40).reshape(2, 4, 5) % 2
    weight = [0.5, 2.0, 0.0]
    value = DiceLoss(weight=weight, smooth=0.5)(tensor(logits), tensor(label))
    expected = TestDiceLoss.formula(logits, label, weight, smooth=0.5)
    np.testing.assert_allclose(float(value), expected, rtol=1e-6)


def test_refuses_weights_of_another_number_of_classes():
    with pytest.raises(UserError, match=r"weight has the shape \[2\] where logits of \[1, 3, 2, 2\] need"):
        DiceLoss(weight=[1, 1])(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))
