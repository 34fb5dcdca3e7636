import pytest
from loss_reference import normal, tensor
from loss_tests import LossTests

from paddleseg.losses import CrossEntropyLoss, DiceLoss, MixedLoss


class TestMixedLoss(LossTests):
    loss = MixedLoss
    against = "label"
    refused = [
        ({"losses": [], "coef": []}, "losses must hold at least one loss"),
        ({"losses": [3], "coef": [1]}, r"losses must hold losses only, not \[3\]"),
        ({"losses": [DiceLoss()], "coef": [1, 2]}, "coef must hold a number for each of 1 losses"),
        ({"losses": [DiceLoss()], "coef": [-1]}, "each coef must be a number of 0 or above, not -1"),
    ]


def test_is_the_weighted_sum_and_has_no_state():
    logits = tensor(normal((2, 2, 2, 3), seed=5))
    label = tensor([[[0, 1, 255], [1, 0, 1]], [[0, 0, 1], [255, 255, 0]]])
    parts = [CrossEntropyLoss(), DiceLoss(), lambda x, y: x.mean()]
    loss = MixedLoss(parts, [0.8, 2, 0.5])
    value = loss(logits, label)
    assert value.shape == []
    assert float(value) == pytest.approx(
        sum(c * float(part(logits, label)) for c, part in zip([0.8, 2, 0.5], parts))
    )
    assert not loss.state_dict()
    assert not loss.parameters()
