import method_reference as reference
import numpy as np
import pytest
from loss_reference import loss_and_gradient, normal, tensor

from paddleseg.losses import SegPairWiseLoss, pairwise_loss


@pytest.mark.parametrize("scale", [0.1, 0.25, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (1, 4, 5, 7), (2, 2, 1, 9)], ids=str)
def test_equals_the_formula(shape, scale):
    student, teacher = normal(shape, seed=1), normal(shape, seed=2)
    value = SegPairWiseLoss(scale=scale)(tensor(student), tensor(teacher))
    expected = reference.pairwise(student, teacher, scale)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-12)


def test_two_by_two_regions_by_hand():
    # The maxima of the four quarters are unit vectors along x, x, y, y; the teacher's all along x.
    student, teacher = np.zeros((2, 1, 2, 4, 4), dtype="float32")
    student[0, 0, 0, 0] = student[0, 0, 1, 2] = 5
    student[0, 1, 2, 1] = student[0, 1, 3, 3] = 0.5
    teacher[0, 0, ::2, ::2] = 1
    # 8 of the 16 affinities are 0 instead of 1.
    np.testing.assert_allclose(float(pairwise_loss(tensor(student), tensor(teacher))), 8 / 16, rtol=1e-6)


def test_regions_of_zeros_have_a_bounded_gradient():
    student = normal((1, 3, 4, 4), seed=3)
    student[:, :, :2, :2] = 0
    teacher = normal((1, 3, 4, 4), seed=4)
    value, gradient = loss_and_gradient(lambda x: pairwise_loss(x, tensor(teacher)), student)
    np.testing.assert_allclose(value, reference.pairwise(student, teacher), rtol=1e-5)
    assert np.abs(gradient).max() < 10
