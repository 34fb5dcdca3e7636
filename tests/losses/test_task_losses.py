"""What every task loss must do: follow its formula, and bear what a batch may hold."""

import functools

import numpy as np
import paddle
import pytest
import task_reference as formula
from loss_reference import central_differences, extremes, loss_and_gradient, normal, tensor

from paddleseg import losses
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

USUAL = [(2, 3, 5, 7), (1, 4, 3, 3), (2, 3, 7), (6, 5)]
TWO = [(2, 2, 5, 7), (1, 2, 3, 3)]
ONE_TOO = [(2, 1, 5, 7), (1, 3, 3, 5), (4, 2)]
MAPS = [(2, 3, 11, 14), (1, 2, 12, 9)]
REFERENCES = {
    "CrossEntropyLoss": formula.cross_entropy,
    "OhemCrossEntropyLoss": formula.ohem,
    "DiceLoss": formula.dice,
    "LovaszSoftmaxLoss": formula.lovasz,
    "FocalLoss": formula.focal,
    "MultiClassFocalLoss": formula.multi_class_focal,
    "BCELoss": formula.bce,
    "RMILoss": formula.rmi,
}
CASES = [
    ("CrossEntropyLoss", {}, USUAL),
    ("CrossEntropyLoss", {"avg_non_ignore": False}, USUAL),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.4}, USUAL),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.9, "avg_non_ignore": False}, USUAL),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.9}, USUAL),
    ("OhemCrossEntropyLoss", {}, USUAL),
    ("OhemCrossEntropyLoss", {"thresh": 0.3, "min_kept": 2}, USUAL),
    ("OhemCrossEntropyLoss", {"thresh": 0, "min_kept": 3}, USUAL),
    ("OhemCrossEntropyLoss", {"thresh": 0.5, "min_kept": 0}, USUAL),
    ("DiceLoss", {}, USUAL),
    ("DiceLoss", {"smooth": 0}, USUAL),
    ("LovaszSoftmaxLoss", {}, USUAL),
    ("LovaszSoftmaxLoss", {"classes": "all"}, USUAL),
    ("LovaszSoftmaxLoss", {"classes": [1]}, USUAL),
    ("FocalLoss", {}, [*TWO, *ONE_TOO]),
    ("FocalLoss", {"alpha": 0.7, "gamma": 0.5}, TWO),
    ("FocalLoss", {"gamma": 0}, TWO),
    ("MultiClassFocalLoss", {}, USUAL),
    ("MultiClassFocalLoss", {"alpha": 0.5, "gamma": 0.5}, USUAL),
    ("MultiClassFocalLoss", {"gamma": 0}, USUAL),
    ("BCELoss", {}, ONE_TOO),
    ("BCELoss", {"pos_weight": 2.5}, ONE_TOO),
    ("BCELoss", {"weight": "dynamic", "pos_weight": "dynamic"}, ONE_TOO),
    ("RMILoss", {}, MAPS),
    ("RMILoss", {"rmi_pool_way": 1, "rmi_pool_size": 2, "rmi_pool_stride": 2}, MAPS),
    ("RMILoss", {"rmi_pool_way": 2, "rmi_pool_size": 2, "rmi_pool_stride": 2}, MAPS),
    ("RMILoss", {"rmi_radius": 2, "rmi_pool_size": 1, "rmi_pool_stride": 1}, MAPS),
]
SMALLEST = {"RMILoss": (1, 2, 9, 10), "FocalLoss": (2, 2, 3, 2), "BCELoss": (2, 2, 3, 2)}


def labels(shape, seed=0, ignored=0.3, classes=None):
    """Return a label for logits of that shape, with class 0 and the ignored one in it."""
    random = np.random.RandomState(seed)
    label = random.randint(0, classes or max(shape[1], 2), (shape[0], *shape[2:]))
    label[random.rand(*label.shape) < ignored] = 255
    label.flat[0], label.flat[-1] = 0, 255
    return label


def made(name, params):
    return getattr(losses, name)(**params)


def each(cases):
    return pytest.mark.parametrize(
        ("name", "params", "shape"),
        [(name, params, shape) for name, params, shapes in cases for shape in shapes],
        ids=str,
    )


small = pytest.mark.parametrize(
    ("name", "params", "shape"),
    [(name, params, SMALLEST.get(name, (2, 3, 3, 2))) for name, params, _ in CASES],
    ids=str,
)


@each(CASES)
def test_follows_the_formula(name, params, shape):
    logits, label = normal(shape, seed=1), labels(shape)
    value = made(name, params)(tensor(logits), tensor(label))
    assert value.shape == []
    expected = REFERENCES[name](logits, label, **params)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-7)


@small
def test_gradient(name, params, shape):
    logits, label = normal(shape, seed=2), labels(shape)
    loss = made(name, params)
    _, gradient = loss_and_gradient(lambda x: loss(x, tensor(label)), logits)
    expected = central_differences(functools.partial(REFERENCES[name], label=label, **params), logits)
    np.testing.assert_allclose(gradient, expected, rtol=2e-4, atol=2e-6)
    assert (gradient[np.broadcast_to(label[:, None] == 255, shape)] == 0).all()


@small
def test_all_pixels_ignored(name, params, shape):
    label = tensor(np.full((shape[0], *shape[2:]), 255))
    value, gradient = loss_and_gradient(lambda x: made(name, params)(x, label), normal(shape, seed=3))
    assert value == 0
    assert (gradient == 0).all()


@small
def test_a_sample_that_is_ignored_altogether(name, params, shape):
    shape = (2, *shape[1:])
    logits, label = normal(shape, seed=4), labels(shape)
    label[1] = 255
    value, gradient = loss_and_gradient(lambda x: made(name, params)(x, tensor(label)), logits)
    expected = REFERENCES[name](logits, label, **params)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)
    assert np.isfinite(gradient).all()


@small
def test_a_single_class_in_the_label(name, params, shape):
    logits, label = normal(shape, seed=5), labels(shape, classes=1)
    value, gradient = loss_and_gradient(lambda x: made(name, params)(x, tensor(label)), logits)
    np.testing.assert_allclose(value, REFERENCES[name](logits, label, **params), rtol=1e-5, atol=1e-7)
    assert np.isfinite(gradient).all()


@small
def test_any_label_can_be_the_ignored_one(name, params, shape):
    logits, label = normal(shape, seed=6), labels(shape)
    expected = float(made(name, params)(tensor(logits), tensor(label)))
    label[label == 255] = -1
    value = made(name, {**params, "ignore_index": -1})(tensor(logits), tensor(label))
    assert float(value) == expected


@small
def test_the_label_is_left_as_it_was(name, params, shape):
    label = labels(shape)
    given = tensor(label)
    made(name, params)(tensor(normal(shape, seed=7)), given)
    np.testing.assert_array_equal(given.numpy(), label)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@small
def test_half_precision_is_computed_in_float32(name, params, shape, dtype):
    logits, label = tensor(normal(shape, seed=8)).astype(dtype), labels(shape)
    value = made(name, params)(logits, tensor(label))
    assert value.dtype == paddle.float32
    expected = REFERENCES[name](logits.astype("float32").numpy(), label, **params)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-7)


@small
def test_float64_stays_float64(name, params, shape):
    logits, label = normal(shape, seed=9).astype("float64"), labels(shape)
    value = made(name, params)(tensor(logits), tensor(label))
    assert value.dtype == paddle.float64
    np.testing.assert_allclose(float(value), REFERENCES[name](logits, label, **params), rtol=1e-8)


@small
def test_extreme_logits_stay_finite(name, params, shape):
    label = labels(shape)
    value, gradient = loss_and_gradient(
        lambda x: made(name, params)(x, tensor(label)), extremes(shape, seed=10)
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="on a GPU the label is not read")
@pytest.mark.parametrize(("bad", "seen"), [(5, "from 0 to 5"), (-1, "from -1 to 0")])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_label_outside_the_classes(name, bad, seen):
    shape = SMALLEST.get(name, (2, 3, 3, 2))
    label = np.zeros((shape[0], *shape[2:]), dtype="int64")
    label[0, 0, 1], label[-1, -1, -1] = 255, bad
    with pytest.raises(UserError, match=seen) as error:
        made(name, {})(tensor(normal(shape, seed=11)), tensor(label))
    assert f"has {shape[1]}, counted from 0" in str(error.value)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_label_that_does_not_fit(name):
    with pytest.raises(UserError, match=r"label has the shape \[2, 1, 9, 9\] .* need \[2, 9, 9\]"):
        made(name, {})(paddle.zeros([2, 2, 9, 9]), paddle.zeros([2, 1, 9, 9], dtype="int64"))


@pytest.mark.parametrize("name", [*REFERENCES, "MixedLoss"])
def test_is_registered_as_a_task_loss_without_state(name):
    params = {"losses": [made("DiceLoss", {})], "coef": [1]} if name == "MixedLoss" else {}
    loss = manager.LOSSES[name](**params)
    assert loss.against == "label"
    assert not loss.state_dict()
    assert not loss.parameters()
