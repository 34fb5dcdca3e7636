import numpy as np
from loss_reference import loss_and_gradient, normal, tensor
from loss_tests import DistillationLossTests

from paddleseg.losses import SegPairWiseLoss, pairwise_loss


def formula(student, teacher, scale=0.5, norms_of=None):
    """`norms_of`: the features whose norms the student's are divided by, where these are held constant."""
    ours = pooled(student, scale)
    lengths = np.linalg.norm(ours if norms_of is None else pooled(norms_of, scale), axis=1) + 1e-8
    theirs = pooled(teacher, scale)
    A_s = affinity(ours, lengths)
    A_t = affinity(theirs, np.linalg.norm(theirs, axis=1) + 1e-8)
    N, P = A_s.shape[:2]
    return ((A_t - A_s) ** 2).sum() / P**2 / N


def pooled(features, scale):
    """Return N x C x P: the maxima of tiles of floor(H * scale) x floor(W * scale), the last ones cut off."""
    x = np.asarray(features, dtype=np.float64)
    H, W = x.shape[2:]
    kh, kw = max(1, int(H * scale)), max(1, int(W * scale))
    tiles = [
        x[:, :, i : i + kh, j : j + kw].max(axis=(2, 3)) for i in range(0, H, kh) for j in range(0, W, kw)
    ]
    return np.stack(tiles, axis=-1)


def affinity(x, lengths):
    x = x / lengths[:, None]
    return np.einsum("ncp,ncq->npq", x, x)


class TestSegPairWiseLoss(DistillationLossTests):
    loss = SegPairWiseLoss
    cases = tuple({"scale": scale} for scale in (0.1, 0.25, 0.5, 0.7))
    refused = [
        ({"scale": 0}, "scale must be above 0 and at most 1, not 0"),
        ({"scale": 1.5}, "scale must be above 0 and at most 1, not 1.5"),
    ]

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, loss.scale)

    def function_to_differentiate(self, loss, student, teacher, label):
        return lambda x: formula(x, teacher, loss.scale, norms_of=student)


def test_the_default_scale_is_a_half_and_one_region_costs_nothing():
    student, teacher = (tensor(normal((2, 3, 8, 6), seed)) for seed in (1, 2))
    assert SegPairWiseLoss().scale == 0.5
    assert abs(float(pairwise_loss(student, teacher, scale=1.0))) < 1e-12


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
    np.testing.assert_allclose(value, formula(student, teacher), rtol=1e-5)
    assert np.abs(gradient).max() < 10
