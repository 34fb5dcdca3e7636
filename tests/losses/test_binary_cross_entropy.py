import numpy as np
import pytest
from loss_reference import binary_targets, normal, sigmoid, tensor
from loss_tests import TaskLossTests

from paddleseg.losses import BCELoss, FocalLoss
from paddleseg.losses.labels import label_edges


def formula(logits, label, weight=None, pos_weight=None, ignore_index=255):
    x, y = binary_targets(logits, label, ignore_index)
    positive = y.mean()
    a = 2 * (1 - positive) if pos_weight == "dynamic" else pos_weight or 1.0
    loss = -a * y * np.log(sigmoid(x)) - (1 - y) * np.log(sigmoid(-x))
    if weight == "dynamic":
        loss *= np.where(y == 1, 2 * (1 - positive), 2 * positive)
    return loss.mean()


class TestBCELoss(TaskLossTests):
    loss = BCELoss
    cases = ({}, {"pos_weight": 2.5}, {"weight": "dynamic", "pos_weight": "dynamic"})
    shapes = ((2, 1, 5, 7), (1, 3, 3, 5), (4, 2))
    small = (2, 2, 3, 2)
    formula = staticmethod(formula)
    refused = [
        ({"weight": 2}, "weight must be Null or 'dynamic', not 2"),
        ({"pos_weight": -1}, "pos_weight must be a number of 0 or above, not -1"),
        ({"pos_weight": float("inf")}, "pos_weight must be a number of 0 or above, not inf"),
        ({"pos_weight": "auto"}, "or a number of 0 or above, not 'auto'"),
    ]


@pytest.mark.parametrize("loss", [BCELoss(), BCELoss(weight="dynamic"), BCELoss(pos_weight=3), FocalLoss()])
def test_one_channel_stands_for_class_1(loss):
    logits = tensor(normal((2, 1, 2, 3), seed=2))
    label = np.array([[[0, 1, 255], [1, 0, 1]], [[0, 0, 1], [255, 255, 0]]])
    targets = np.where(label == 255, 255, label == 1)[:, None]
    assert float(loss(logits, tensor(label))) == pytest.approx(float(loss(logits, tensor(targets))))


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_targets_for_each_channel(dtype):
    logits = normal((2, 3, 2, 3), seed=3)
    targets = np.random.RandomState(4).randint(0, 2, logits.shape)
    targets[0, 1, 0], targets[1, :, 1, 2] = 255, 255
    for params in ({}, {"pos_weight": 0.5}, {"pos_weight": "dynamic"}, {"weight": "dynamic"}):
        value = BCELoss(**params)(tensor(logits), tensor(targets.astype(dtype)))
        np.testing.assert_allclose(float(value), formula(logits, targets, **params), rtol=1e-6)


@pytest.mark.parametrize("ignore_index", [0, 1])
def test_edges_count_whatever_class_is_ignored(ignore_index):
    label = np.zeros([1, 12, 14], "int64")
    label[:, :, 7:] = 3
    logits = normal((1, 1, 12, 14), seed=2)
    value = float(BCELoss(edge_label=True, ignore_index=ignore_index)(tensor(logits), tensor(label)))
    assert value == pytest.approx(formula(logits, label_edges(tensor(label), ignore_index).numpy()), rel=1e-5)


def test_the_targets_may_be_the_edges_between_the_classes():
    label = np.zeros([1, 12, 14], "int64")
    label[:, :, 7:] = 3
    edges = label_edges(tensor(label), 255).numpy()
    assert edges[0, 5].tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    logits = normal((1, 1, 12, 14), seed=2)
    value = float(BCELoss(edge_label=True)(tensor(logits), tensor(label)))
    assert value == pytest.approx(formula(logits, edges), rel=1e-5)
