import numpy as np
import paddle
import pytest
from loss_reference import (
    extremes,
    labels,
    log_softmax,
    loss_and_gradient,
    mean_nll,
    normal,
    tensor,
    used_pixels,
    valid_nll,
    wave,
)
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, cross_entropy_loss


def formula(logits, label, weight=None, ignore_index=255, top_k_percent_pixels=1.0, avg_non_ignore=True):
    nll, classes = valid_nll(logits, label, ignore_index)
    weights = np.ones(logits.shape[1]) if weight is None else np.asarray(weight, dtype=np.float64)
    loss, divisor = weights[classes] * nll, weights[classes]
    if not avg_non_ignore:
        ignored = label.size - nll.size
        loss, divisor = np.append(loss, np.zeros(ignored)), np.append(divisor, np.ones(ignored))
    if top_k_percent_pixels < 1:
        hardest = np.argsort(-loss)[: max(1, int(top_k_percent_pixels * label.size))]
        loss, divisor = loss[hardest], divisor[hardest]
    return loss.sum() / divisor.sum()


class TestCrossEntropyLoss(TaskLossTests):
    loss = CrossEntropyLoss
    cases = (
        {},
        {"avg_non_ignore": False},
        {"top_k_percent_pixels": 0.4},
        {"top_k_percent_pixels": 0.9, "avg_non_ignore": False},
        {"top_k_percent_pixels": 0.9},
    )
    formula = staticmethod(formula)
    refused = [
        ({"top_k_percent_pixels": 0}, "must be a fraction above 0 and up to 1, not 0"),
        ({"weight": [0.0, 0]}, "weight is 0 for all classes, and nothing would be learned"),
        ({"top_k_percent_pixels": 20}, "must be a fraction above 0 and up to 1, not 20"),
        *(
            ({"weight": [1.0, w]}, "weight must hold numbers that are 0 or more")
            for w in (-1.0, np.nan, np.inf)
        ),
    ]


class TestWeightsOfThreeClasses(TestCrossEntropyLoss):
    cases = ({"weight": [0.5, 1.0, 3.0]}, {"weight": [1, 2, 3], "top_k_percent_pixels": 0.4})
    shapes = ((2, 3, 5, 7), (2, 3, 7), (6, 3), (1, 3, 3, 2, 5))


# PaddleSeg 2.8.0 on Paddle 2.6.2, defaults apart from the weight.
@pytest.mark.parametrize(
    ("weight", "ignoring", "golden"),
    [
        (None, False, 2.3563988),
        (None, True, 2.3142762),
        ([0.5, 1.0, 3.0], False, 2.3163090),
        ([0.5, 1.0, 3.0], True, 2.2479563),
    ],
)
def test_equals_paddleseg(weight, ignoring, golden):
    label = (np.arange(40) * 7 % 3).reshape(2, 4, 5)
    if ignoring:
        label[0, :2] = 255
        label[1, 3, 4] = 255
    value = CrossEntropyLoss(weight=weight)(tensor(wave((2, 3, 4, 5), 0.7, 3.0)), tensor(label))
    np.testing.assert_allclose(float(value), golden, rtol=2e-6)


@pytest.mark.parametrize("ignore_index", [0, -1, -100, 7])
def test_a_class_can_be_the_ignored_label(ignore_index):
    logits, label = normal((2, 3, 4, 5), seed=3), labels((2, 4, 5), 3)
    label[label == 255] = ignore_index
    value = CrossEntropyLoss(weight=[1, 2, 3], ignore_index=ignore_index)(tensor(logits), tensor(label))
    np.testing.assert_allclose(float(value), formula(logits, label, [1, 2, 3], ignore_index), rtol=1e-5)


def test_pixels_of_weight_0_give_zero():
    label, loss = paddle.zeros([2, 3, 5], dtype="int64"), CrossEntropyLoss(weight=[0.0, 1.0, 1.0])
    value, gradient = loss_and_gradient(lambda x: loss(x, label), normal((2, 3, 3, 5), seed=5))
    assert value == 0
    assert (gradient == 0).all()


def test_extreme_logits():
    logits, label = extremes((2, 3, 5, 5), seed=6), labels((2, 5, 5), 3)
    value, gradient = loss_and_gradient(lambda x: cross_entropy_loss(x, tensor(label)), logits)
    # The kernel for CPUs limits differences of logits to 64, that for GPUs does not.
    assert formula(logits * 0.4, label) * (1 - 1e-5) <= value <= formula(logits, label) * (1 + 1e-5)
    valid = (label != 255)[:, None]
    one_hot = label[:, None] == np.arange(3)[:, None, None]
    expected = valid * (np.exp(log_softmax(logits, 1)) - one_hot) / valid.sum()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-9)


def test_refuses_logits_without_classes():
    with pytest.raises(UserError, match=r"logits need .* have \[3\]"):
        cross_entropy_loss(paddle.zeros([3]), paddle.zeros([3], dtype="int64"))


def test_refuses_weights_of_another_number_of_classes():
    loss = CrossEntropyLoss(weight=[1.0, 2.0])
    with pytest.raises(UserError, match=r"weight has the shape \[2\] where logits of \[1, 3, 2, 2\] .* 3 cl"):
        loss(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))


@pytest.mark.parametrize(
    ("fraction", "pixels"),
    [(0.99, [0, 1, 2, 3, 4, 5]), (0.45, [1, 2, 4]), (0.3, [1, 4]), (0.29, [1, 4]), (0.1, [1]), (1e-9, [1])],
)
def test_top_k_uses_the_hardest_of_all_pixels(fraction, pixels):
    used, value = used_pixels(CrossEntropyLoss(top_k_percent_pixels=fraction))
    assert used == pixels
    assert value == pytest.approx(mean_nll(*pixels))


def test_ignored_pixels_dilute_the_mean_where_they_count():
    _, value = used_pixels(CrossEntropyLoss(top_k_percent_pixels=0.99, avg_non_ignore=False))
    assert value == pytest.approx(mean_nll(0, 1, 2, 3, 4, 5))  # 6 of 7 pixels, none of them ignored
    _, value = used_pixels(CrossEntropyLoss(avg_non_ignore=False))
    assert value == pytest.approx(mean_nll(0, 1, 2, 3, 4, 5) * 6 / 7)


def test_top_k_ranks_by_the_weighted_loss():
    logits = tensor(np.log(np.array([[[0.5, 0.4, 0.3]], [[0.5, 0.6, 0.7]]]))[None])
    label = tensor(np.array([[[0, 1, 0]]]))
    value = CrossEntropyLoss(weight=[1.0, 4.0], top_k_percent_pixels=0.34)(logits, label)
    assert float(value) == pytest.approx(-np.log(0.6))  # 4 * 0.51 goes before 1.2
