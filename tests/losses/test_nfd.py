import numpy as np
from loss_reference import normal, tensor, valid_mask
from loss_tests import MaskedLossTests

from paddleseg.losses import NFDLoss, nfd_loss


def formula(student, teacher, label):
    valid = valid_mask(student, label)
    squares = []
    for n, c in np.ndindex(*student.shape[:2]):
        ours, theirs = (standardised(x[n, c][valid[n]].astype("float64")) for x in (student, teacher))
        squares.extend((ours - theirs) ** 2)
    return np.mean(squares) if squares else 0.0


def standardised(values):
    return (values - values.mean()) / np.sqrt(values.var() + 1e-6) if values.size else values


class TestNFDLoss(MaskedLossTests):
    loss = NFDLoss
    any_channels = False

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label)


def test_two_channels_by_hand():
    # The first channel is the teacher's times -5 and shifted, so that it adds 4; the second only shifted.
    teacher = np.array([[[[1.0, -1.0, 1.0, -1.0]], [[3.0, 3.0, 9.0, 9.0]]]], dtype="float32")
    student = np.stack([2 - 5 * teacher[:, 0], teacher[:, 1] - 100], axis=1)
    np.testing.assert_allclose(float(nfd_loss(tensor(student), tensor(teacher))), 2.0, rtol=1e-5)


def test_neither_mean_nor_size_counts():
    student, teacher = normal((2, 3, 5, 6), seed=1), normal((2, 3, 5, 6), seed=2)
    scale = np.array([0.5, 3, 20], dtype="float32").reshape([1, 3, 1, 1])
    expected = float(nfd_loss(tensor(student), tensor(teacher)))
    value = float(nfd_loss(tensor(student * scale + 7), tensor(teacher * 9 - scale)))
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_is_two_less_twice_the_correlation():
    student, teacher = normal((1, 1, 9, 9), seed=3), normal((1, 1, 9, 9), seed=4)
    expected = 2 * (1 - np.corrcoef(student.ravel(), teacher.ravel())[0, 1])
    np.testing.assert_allclose(float(nfd_loss(tensor(student), tensor(teacher))), expected, rtol=1e-5)
