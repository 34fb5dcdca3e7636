import numpy as np
import pytest
from loss_reference import divergence, loss_and_gradient, normal, tensor, unit, valid_mask, vectors
from loss_tests import MaskedLossTests

from paddleseg.losses import CIRKDMiniBatchLoss, cirkd_mini_batch_loss


def formula(student, teacher, label=None, temperature=0.1):
    valid = valid_mask(student, label)
    pairs = []
    for a, b in np.ndindex(len(student), len(student)):
        if valid[a].any() and valid[b].any():
            ours, theirs = (
                unit(vectors(x)[a][valid[a]]) @ unit(vectors(x)[b][valid[b]]).T / temperature
                for x in (student, teacher)
            )
            pairs.append(divergence(ours, theirs, 1, 1.0).mean())
    return np.mean(pairs) if pairs else 0.0


class TestCIRKDMiniBatchLoss(MaskedLossTests):
    loss = CIRKDMiniBatchLoss
    refused = [({"temperature": -1}, "temperature must be a positive number, not -1")]

    def formula(self, loss, student, teacher, label):
        return formula(student, teacher, label, loss.temperature)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_an_image_without_valid_pixels_is_in_no_pair(temperature):
    student, teacher = normal((3, 4, 3, 2), seed=9), normal((3, 5, 3, 2), seed=10)
    label = np.zeros((3, 3, 2), dtype="int64")
    label[1] = label[0, 0] = 255
    value, gradient = loss_and_gradient(
        lambda x: cirkd_mini_batch_loss(x, tensor(teacher), tensor(label), temperature=temperature), student
    )
    np.testing.assert_allclose(value, formula(student, teacher, label, temperature), rtol=1e-5)
    assert (gradient[1] == 0).all()
    assert (gradient[0, :, 0] == 0).all()
    assert np.abs(gradient[2]).max() > 0
