"""What is particular to the losses over regions and classes: Dice, Lovasz-Softmax, RMI."""

import numpy as np
import paddle
import pytest
import task_reference as formula
from loss_reference import loss_and_gradient, normal, tensor

from paddleseg.errors import UserError
from paddleseg.losses import DiceLoss, LovaszSoftmaxLoss, RMILoss, lovasz_softmax_loss


def one_hot_logits(label, classes, scale=60.0):
    return (scale * formula.one_hot(label, classes)).astype("float32")


def test_a_perfect_prediction_costs_nothing():
    label = np.arange(24).reshape(2, 3, 4) % 3
    for loss in (DiceLoss(smooth=0), DiceLoss(), LovaszSoftmaxLoss()):
        assert float(loss(tensor(one_hot_logits(label, 3)), tensor(label))) == pytest.approx(0, abs=1e-6)


def test_a_hard_prediction_costs_one_minus_dice_and_iou():
    label = np.array([[[0, 0, 0, 1, 1, 1, 1, 255]]])
    said = np.array([[[0, 0, 1, 1, 1, 0, 1, 0]]])
    # Class 0: two of three found, one wrong: 2 of 4 in the union, Dice 4 / 6. Class 1: 3 of 5, Dice 6 / 8.
    logits = tensor(one_hot_logits(said, 2))
    value = LovaszSoftmaxLoss()(logits, tensor(label))
    assert float(value) == pytest.approx(1 - (2 / 4 + 3 / 5) / 2)
    assert float(DiceLoss(smooth=0)(logits, tensor(label))) == pytest.approx(1 - (4 / 6 + 6 / 8) / 2)


def test_dice_weighs_the_classes():
    logits, label = normal((2, 3, 4, 5), seed=1), np.arange(40).reshape(2, 4, 5) % 2
    weight = [0.5, 2.0, 0.0]
    value = DiceLoss(weight=weight, smooth=0.5)(tensor(logits), tensor(label))
    expected = formula.dice(logits, label, weight, smooth=0.5)
    np.testing.assert_allclose(float(value), expected, rtol=1e-6)


def test_lovasz_classes_that_are_absent():
    logits, label = normal((1, 4, 5, 3), seed=2), np.arange(15).reshape(1, 5, 3) % 2
    for classes in ("present", "all", [0, 3], (2,)):
        value, gradient = loss_and_gradient(
            lambda x, classes=classes: lovasz_softmax_loss(x, tensor(label), classes=classes), logits
        )
        np.testing.assert_allclose(value, formula.lovasz(logits, label, classes=classes), rtol=1e-5)
        assert np.isfinite(gradient).all()


def test_rmi_of_a_perfect_prediction_is_the_constant():
    random = np.random.RandomState(3)
    label = random.randint(0, 2, (2, 12, 12))
    logits = np.where(formula.one_hot(label, 2) == 1, 40.0, -40.0).astype("float32")
    # What the masks tell of themselves but for the regulariser of the inversion: nearly log(5e-4) / 2.
    value = RMILoss(rmi_pool_size=1, rmi_pool_stride=1)(tensor(logits), tensor(label))
    assert float(value) == pytest.approx(2 * np.log(5e-4) / 2, abs=0.8)
    worse = RMILoss(rmi_pool_size=1, rmi_pool_stride=1)(tensor(normal(logits.shape, 4)), tensor(label))
    assert float(worse) > float(value) + 5


@pytest.mark.parametrize(
    ("shape", "params", "told"),
    [
        ((1, 2, 5, 9), {}, r"\[1, 2, 5, 9\] are pooled to 2 x 3, which is less than rmi_radius \(3\)"),
        ((1, 2, 8, 2), {"rmi_pool_way": 2}, "pooled to 2 x 0"),
        (
            (1, 3, 9, 9),
            {"num_classes": 2},
            "num_classes is 2, but the model has 3 classes; leave num_classes",
        ),
        ((1, 2, 9), {}, "logits need a shape of N x C x H x W"),
    ],
)
def test_rmi_refuses_logits_that_it_cannot_use(shape, params, told):
    with pytest.raises(UserError, match=told):
        RMILoss(**params)(paddle.zeros(shape), paddle.zeros([shape[0], *shape[2:]], dtype="int64"))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: DiceLoss(smooth=-1), "smooth must be a number of 0 or above, not -1"),
        (lambda: DiceLoss(smooth=float("inf")), "smooth must be a number of 0 or above, not inf"),
        (lambda: DiceLoss(weight=[1, -1]), r"weight must hold numbers that are 0 or more, not \[1, -1\]"),
        (
            lambda: LovaszSoftmaxLoss(classes="some"),
            "must be 'present', 'all' or a list of classes, not 'some'",
        ),
        (lambda: LovaszSoftmaxLoss(classes=[]), r"a list of classes, not \[\]"),
        (lambda: LovaszSoftmaxLoss(classes=[0, -1]), r"a list of classes, not \[0, -1\]"),
        (lambda: RMILoss(rmi_radius=0), "rmi_radius must be 1 to 10, not 0"),
        (lambda: RMILoss(rmi_pool_way=3), r"rmi_pool_way must be 0 \(maximum\), 1 \(mean\) or 2"),
        (lambda: RMILoss(rmi_pool_size=0, rmi_pool_stride=0), "rmi_pool_size must be 1 or above, not 0"),
        (lambda: RMILoss(rmi_pool_size=2), r"rmi_pool_stride \(3\) must be the same as rmi_pool_size \(2\)"),
    ],
)
def test_what_is_out_of_range_is_refused(make, told):
    with pytest.raises(UserError, match=told):
        make()


def test_a_class_that_the_model_has_not():
    with pytest.raises(UserError, match="classes holds 3, but the model has 3, counted from 0"):
        LovaszSoftmaxLoss(classes=[1, 3])(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))


def test_weights_of_another_number_of_classes():
    with pytest.raises(UserError, match=r"weight has the shape \[2\] where logits of \[1, 3, 2, 2\] need"):
        DiceLoss(weight=[1, 1])(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))
