import numpy as np
from loss_reference import nearest, normal, tensor, vectors
from loss_tests import NUM_CLASSES, MaskedLossTests

from paddleseg.losses import IFVDLoss, ifvd_loss


def formula(student, teacher, label, num_classes):
    label = nearest(label, *student.shape[2:])
    ours, theirs = (variation(vectors(x), label, num_classes) for x in (student, teacher))
    squares = [(ours[place] - theirs[place]) ** 2 for place in ours]
    return np.mean(squares) if squares else 0.0


def variation(v, label, num_classes):
    """Return {place: cosine with the mean of its class in its image} of the pixels of a class."""
    cosines = {}
    for n, y, x in np.ndindex(*label.shape):
        if 0 <= label[n, y, x] < num_classes:
            mean = v[n][label[n] == label[n, y, x]].mean(axis=0)
            f = v[n, y, x]
            cosines[n, y, x] = f @ mean / max(np.linalg.norm(f) * np.linalg.norm(mean), 1e-8)
    return cosines


class TestIFVDLoss(MaskedLossTests):
    loss = IFVDLoss
    cases = ({"num_classes": NUM_CLASSES},)
    refused = [({"num_classes": 0}, "num_classes must be a whole number above 0, not 0")]

    def build(self, student_channels, teacher_channels, num_classes=NUM_CLASSES):
        return IFVDLoss(num_classes)

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label, loss.num_classes)


def test_two_pixels_by_hand():
    # One class of the pixels (1, 0) and (0, 1) and its mean (1/2, 1/2): both cosines are 1 / sqrt(2). The
    # teacher's are 1. The ignored pixel, far from everything, is neither compared nor in the mean.
    student = np.array([[[1, 0, 50]], [[0, 1, -9]]], dtype="float32")[None]
    teacher = np.ones((1, 4, 1, 3), dtype="float32")
    label = np.array([[[2, 2, 255]]])
    value = ifvd_loss(tensor(student), tensor(teacher), tensor(label), num_classes=3)
    np.testing.assert_allclose(float(value), (1 - 1 / np.sqrt(2)) ** 2, rtol=1e-5)


def test_leaves_out_labels_of_no_class():
    student, teacher = normal((1, 3, 4, 4), seed=1), normal((1, 3, 4, 4), seed=2)
    label = np.random.RandomState(0).randint(-1, 5, (1, 4, 4))
    value = ifvd_loss(tensor(student), tensor(teacher), tensor(label), num_classes=3)
    np.testing.assert_allclose(float(value), formula(student, teacher, label, 3), rtol=1e-5)
