import method_reference as reference
import numpy as np
import paddle
import pytest
from loss_reference import normal, tensor
from methods import state_of

from paddleseg.losses import MGDLoss, mgd_loss


@pytest.mark.parametrize("teacher_channels", [3, 5])
@pytest.mark.parametrize("mask_ratio", [0.25, 0.75])
def test_equals_the_formula_under_the_mask_that_it_draws(mask_ratio, teacher_channels):
    loss = MGDLoss(3, teacher_channels, mask_ratio=mask_ratio, alpha=0.5)
    student, teacher = normal((2, 3, 6, 7), seed=1), normal((2, teacher_channels, 6, 7), seed=2)
    label = np.random.RandomState(0).choice([1, 255], (2, 12, 7))
    paddle.seed(11)
    mask = paddle.rand([2, 1, 6, 7]).numpy() <= 1 - mask_ratio
    assert 0 < mask.mean() < 1
    paddle.seed(11)
    value = loss(tensor(student), tensor(teacher), tensor(label))
    expected = reference.mgd(student, teacher, label, state_of(loss), mask, 0.5)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_draws_a_new_mask_each_time():
    loss, x = MGDLoss(3, 3), tensor(normal((2, 3, 6, 7), seed=3))
    assert float(loss(x, x)) != float(loss(x, x))


def test_masks_the_share_that_is_asked_for():
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
