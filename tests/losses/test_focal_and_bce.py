"""What is particular to the losses of single decisions, and to the sum of several losses."""

import numpy as np
import paddle
import pytest
import task_reference as formula
from loss_reference import loss_and_gradient, normal, tensor

from paddleseg.errors import UserError
from paddleseg.losses import (
    BCELoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    MixedLoss,
    MultiClassFocalLoss,
)

LABEL = np.array([[[0, 1, 255], [1, 0, 1]], [[0, 0, 1], [255, 255, 0]]])


def test_without_focus_they_are_cross_entropies():
    logits = normal((2, 2, 2, 3), seed=1)
    value = float(MultiClassFocalLoss(gamma=0)(tensor(logits), tensor(LABEL)))
    assert value == pytest.approx(float(CrossEntropyLoss()(tensor(logits), tensor(LABEL))))
    value = float(FocalLoss(alpha=0.5, gamma=0)(tensor(logits), tensor(LABEL)))
    assert value == pytest.approx(float(BCELoss()(tensor(logits), tensor(LABEL))) / 2)


@pytest.mark.parametrize("gamma", [0, 0.3, 1, 2])
@pytest.mark.parametrize("loss", [FocalLoss, MultiClassFocalLoss])
def test_pixels_decided_for_certain_have_a_finite_gradient(loss, gamma):
    logits = 200 * formula.one_hot(LABEL, 2).astype("float32") - 100
    value, gradient = loss_and_gradient(lambda x: loss(gamma=gamma)(x, tensor(LABEL)), logits)
    assert value == pytest.approx(0, abs=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [BCELoss(), BCELoss(weight="dynamic"), BCELoss(pos_weight=3), FocalLoss()])
def test_one_channel_decides_for_class_1(loss):
    x = normal((2, 1, 2, 3), seed=2)
    alone = float(loss(tensor(x), tensor(LABEL)))
    targets = np.where(LABEL == 255, 255, LABEL == 1)[:, None]
    assert alone == pytest.approx(float(loss(tensor(x), tensor(targets))))


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_targets_for_each_channel(dtype):
    logits = normal((2, 3, 2, 3), seed=3)
    targets = np.random.RandomState(4).randint(0, 2, logits.shape)
    targets[0, 1, 0], targets[1, :, 1, 2] = 255, 255
    for params in ({}, {"pos_weight": 0.5}, {"pos_weight": "dynamic"}, {"weight": "dynamic"}):
        value = BCELoss(**params)(tensor(logits), tensor(targets.astype(dtype)))
        np.testing.assert_allclose(float(value), formula.bce(logits, targets, **params), rtol=1e-6)


def test_a_mixed_loss_is_the_weighted_sum():
    logits, label = tensor(normal((2, 2, 2, 3), seed=5)), tensor(LABEL)
    parts = [CrossEntropyLoss(), DiceLoss(), lambda x, y: x.mean()]
    value = MixedLoss(parts, [0.8, 2, 0.5])(logits, label)
    expected = sum(c * float(loss(logits, label)) for c, loss in zip([0.8, 2, 0.5], parts))
    assert value.shape == []
    assert float(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: FocalLoss(alpha=1.5), "alpha must be 0 to 1, not 1.5"),
        (lambda: FocalLoss(gamma=-1), "gamma must be a number of 0 or above, not -1"),
        (lambda: MultiClassFocalLoss(alpha=-1), "alpha must be a number of 0 or above, not -1"),
        (lambda: MultiClassFocalLoss(alpha=float("inf")), "alpha must be a number of 0 or above, not inf"),
        (lambda: MultiClassFocalLoss(gamma=float("nan")), "gamma must be a number of 0 or above, not nan"),
        (lambda: BCELoss(weight=2), "weight must be Null or 'dynamic', not 2"),
        (
            lambda: BCELoss(pos_weight=-1),
            "pos_weight must be a number of 0 or above, not -1",
        ),
        (lambda: BCELoss(pos_weight=float("inf")), "pos_weight must be a number of 0 or above, not inf"),
        (lambda: BCELoss(pos_weight="auto"), "or a number of 0 or above, not 'auto'"),
        (lambda: MixedLoss([], []), "losses must hold at least one loss"),
        (lambda: MixedLoss([3], [1]), r"losses must hold losses only, not \[3\]"),
        (
            lambda: MixedLoss([DiceLoss()], [1, 2]),
            "coef must hold a number for each of 1 losses",
        ),
        (lambda: MixedLoss([DiceLoss()], [-1]), "each coef must be a number of 0 or above, not -1"),
    ],
)
def test_what_is_out_of_range_is_refused(make, told):
    with pytest.raises(UserError, match=told):
        make()


def test_a_number_of_classes_that_the_model_has_not():
    loss = MultiClassFocalLoss(num_class=3)
    with pytest.raises(UserError, match="num_class is 3, but the model has 2 classes; leave num_class"):
        loss(paddle.zeros([2, 2, 2, 3]), tensor(LABEL))
