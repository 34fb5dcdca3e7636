import numpy as np
import paddle
import pytest
from loss_reference import conv, normal, state_of, tensor, valid_mask
from loss_tests import MaskedLossTests

from paddleseg.losses import MGDLoss, mgd_loss


def generated(loss, student, mask=1.0):
    """Return the features that a loss generates; `mask`: N x 1 x H x W, 1 where the student is seen."""
    x, state = np.asarray(student, dtype=np.float64), state_of(loss)
    if "align.weight" in state:
        x = conv(x, state["align.weight"], state["align.bias"])
    x = conv(x * mask, state["generation.0.weight"], state["generation.0.bias"])
    return conv(np.maximum(x, 0), state["generation.2.weight"], state["generation.2.bias"])


def formula(loss, student, teacher, label, mask=1.0):
    error = ((generated(loss, student, mask) - teacher) ** 2).sum(axis=1)
    return loss.alpha * error[valid_mask(student, label)].sum() / len(student)


class TestMGDLoss(MaskedLossTests):
    loss = MGDLoss
    cases = ({"mask_ratio": 0.0},)
    spreads = True
    formula = staticmethod(formula)
    refused = [
        ({}, "MGDLoss needs student_channels, the number of channels"),
        ({"student_channels": 3}, "MGDLoss needs teacher_channels"),
        *(
            ({"student_channels": 3, "teacher_channels": 3, **arguments}, message)
            for arguments, message in (
                ({"alpha": -1.0}, "alpha must be a number of 0 or above, not -1.0"),
                ({"mask_ratio": 1}, "mask_ratio must be 0 or above and below 1, not 1"),
                ({"mask_ratio": -0.1}, "mask_ratio must be 0 or above and below 1, not -0.1"),
            )
        ),
    ]

    def build(self, student_channels, teacher_channels, mask_ratio=0.0):
        return MGDLoss(student_channels, teacher_channels, mask_ratio)


@pytest.mark.parametrize("teacher_channels", [3, 5])
@pytest.mark.parametrize("mask_ratio", [0.25, 0.75])
def test_equals_the_formula_under_a_random_mask(mask_ratio, teacher_channels):
    loss = MGDLoss(3, teacher_channels, mask_ratio=mask_ratio, alpha=0.5)
    student, teacher = normal((2, 3, 6, 7), seed=1), normal((2, teacher_channels, 6, 7), seed=2)
    label = np.random.RandomState(0).choice([1, 255], (2, 12, 7))
    paddle.seed(11)
    mask = paddle.rand([2, 1, 6, 7]).numpy() <= 1 - mask_ratio
    assert 0 < mask.mean() < 1
    paddle.seed(11)
    value = loss(tensor(student), tensor(teacher), tensor(label))
    np.testing.assert_allclose(float(value), formula(loss, student, teacher, label, mask), rtol=1e-5)


def test_draws_another_mask_each_time():
    loss, x = MGDLoss(3, 3), tensor(normal((2, 3, 6, 7), seed=3))
    assert float(loss(x, x)) != float(loss(x, x))


def test_masks_the_share_of_mask_ratio():
    loss = MGDLoss(1, 1, mask_ratio=0.9)
    loss.generation = paddle.nn.Identity()
    ones = paddle.ones([2, 1, 60, 60])
    visible = 1 - float(loss(ones, ones)) / loss.alpha / 3600
    assert 0.08 < visible < 0.12


def test_sums_over_a_sample():
    zeros, ones = paddle.zeros([2, 3, 4, 5]), paddle.ones([2, 3, 4, 5])
    np.testing.assert_allclose(float(mgd_loss(zeros, ones)), 2e-5 * 3 * 4 * 5, rtol=1e-6)


def test_needs_a_convolution_only_where_channels_differ():
    assert isinstance(MGDLoss(4, 4).align, paddle.nn.Identity)
    assert MGDLoss(4, 6).align.weight.shape == [6, 4, 1, 1]
