import numpy as np
import paddle
import pytest
from loss_reference import mean_nll, used_pixels, valid_nll
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import OhemCrossEntropyLoss


class TestOhemCrossEntropyLoss(TaskLossTests):
    loss = OhemCrossEntropyLoss
    cases = ({}, {"thresh": 0.3, "min_kept": 2}, {"thresh": 0, "min_kept": 3}, {"thresh": 0.5, "min_kept": 0})
    refused = [
        *(({"thresh": t}, "thresh must be a probability of 0 to 1, not") for t in (1.1, -0.1, np.nan)),
        ({"min_kept": -1}, "min_kept must be 0 or above, not -1"),
        ({"weight": [1.0, -1.0]}, "weight must hold numbers that are 0 or more"),
    ]

    @staticmethod
    def formula(logits, label, thresh=0.7, min_kept=10000, ignore_index=255):
        nll, _ = valid_nll(logits, label, ignore_index)
        hardest_first = np.sort(np.exp(-nll))
        number = max(min(min_kept, nll.size), np.count_nonzero(hardest_first <= thresh))
        return -np.log(hardest_first[:number]).mean() if number else 0.0

    def as_in_paddleseg(self, params):
        # PaddleSeg's divisor is larger by 1e-5 of all pixels, and its min_kept stands for one less.
        if params.get("min_kept", 0) > 3:
            params["min_kept"] -= 1
        return self.loss(**params), 1e-4


@pytest.mark.parametrize(
    ("thresh", "min_kept", "pixels"),
    [
        (0.65, 0, [1, 2, 4]),
        (0.65, 2, [1, 2, 4]),
        (0.65, 4, [1, 2, 4, 5]),
        (0.2, 1, [1]),
        (0.05, 2, [1, 4]),
        (0.0, 3, [1, 2, 4]),
        (0.05, 0, []),
        (1.0, 0, [0, 1, 2, 3, 4, 5]),
        (0.05, 6, [0, 1, 2, 3, 4, 5]),
        (0.05, 7, [0, 1, 2, 3, 4, 5]),
        (0.05, 10000, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_uses_the_pixels_below_the_threshold_and_the_hardest(thresh, min_kept, pixels):
    used, value = used_pixels(OhemCrossEntropyLoss(thresh, min_kept))
    assert used == pixels
    assert value == pytest.approx(mean_nll(*pixels) if pixels else 0)


def test_class_weights_change_neither_the_pixels_nor_their_number():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=[2, 4, 3, 5]).astype("float32")
    label = rng.integers(0, 4, (2, 3, 5))
    label[0, 0] = 255
    weight = [0.5, 2.0, 0.0, 1.5]
    nll, flat = valid_nll(logits, label, 255), label[label != 255]
    nll = nll[0]
    bound = np.sort(nll)[-6]
    hard = (np.exp(-nll) <= 0.1) | (nll >= bound)
    expected = (np.asarray(weight)[flat] * nll)[hard].sum() / hard.sum()
    loss = OhemCrossEntropyLoss(0.1, 6, weight=weight)
    value = loss(paddle.to_tensor(logits), paddle.to_tensor(label))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UserError, match="one number for each of 4 classes"):
        OhemCrossEntropyLoss(weight=[1, 2])(paddle.to_tensor(logits), paddle.to_tensor(label))
