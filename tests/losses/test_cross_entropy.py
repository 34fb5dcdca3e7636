import numpy as np
import paddle
import pytest
from loss_reference import central_differences, extremes, log_softmax, loss_and_gradient, normal, tensor, wave

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, cross_entropy_loss


def reference(logits, label, weight=None, ignore_index=255):
    kept = label != ignore_index
    known = np.where(kept, label, 0)
    nll = -np.take_along_axis(log_softmax(logits, 1), known[:, None], 1)[:, 0]
    w = np.ones(logits.shape[1]) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w[known] * kept
    return (w * nll).sum() / w.sum()


def labels(shape, classes, seed=0, ignored=0.3):
    random = np.random.RandomState(seed)
    label = random.randint(0, classes, shape)
    label[random.rand(*shape) < ignored] = 255
    label.flat[0] = 0
    return label


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 7), (1, 4, 3, 3), (2, 1, 5, 3), (6, 5), (2, 3, 7), (1, 2, 3, 2, 5)], ids=str
)
def test_equals_the_formula(shape, weighted):
    logits, label = normal(shape, seed=1), labels((shape[0], *shape[2:]), shape[1])
    weight = list(np.linspace(0.5, 3, shape[1])) if weighted else None
    value = CrossEntropyLoss(weight=weight)(tensor(logits), tensor(label))
    np.testing.assert_allclose(float(value), reference(logits, label, weight), rtol=1e-5, atol=1e-7)
    assert value.shape == []


@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 3.0]])
def test_a_class_that_is_absent(weight):
    logits, label = normal((2, 3, 4, 5), seed=2), labels((2, 4, 5), 2)
    value = CrossEntropyLoss(weight=weight)(tensor(logits), tensor(label))
    np.testing.assert_allclose(float(value), reference(logits, label, weight), rtol=1e-5)


# PaddleSeg 2.8.0 on Paddle 2.6.2, defaults apart from the weight.
@pytest.mark.parametrize(
    ("weight", "ignoring", "golden"),
    [
        (None, False, 2.3563988),
        (None, True, 2.3142762),
        ([0.5, 1.0, 3.0], False, 2.3163090),
        ([0.5, 1.0, 3.0], True, 2.2479563),
    ],
)
def test_equals_paddleseg(weight, ignoring, golden):
    label = (np.arange(40) * 7 % 3).reshape(2, 4, 5)
    if ignoring:
        label[0, :2] = 255
        label[1, 3, 4] = 255
    value = CrossEntropyLoss(weight=weight)(tensor(wave((2, 3, 4, 5), 0.7, 3.0)), tensor(label))
    np.testing.assert_allclose(float(value), golden, rtol=2e-6)


@pytest.mark.parametrize("ignore_index", [0, -1, -100, 7])
def test_any_label_can_be_the_ignored_one(ignore_index):
    logits, label = normal((2, 3, 4, 5), seed=3), labels((2, 4, 5), 3)
    label[label == 255] = ignore_index
    value = CrossEntropyLoss(weight=[1, 2, 3], ignore_index=ignore_index)(tensor(logits), tensor(label))
    np.testing.assert_allclose(float(value), reference(logits, label, [1, 2, 3], ignore_index), rtol=1e-5)


@pytest.mark.parametrize("weight", [None, [0.1, 0.2, 0.4]])
def test_gradient(weight):
    logits, label = normal((2, 3, 3, 2), seed=4), labels((2, 3, 2), 3)
    loss = CrossEntropyLoss(weight=weight)
    _, gradient = loss_and_gradient(lambda x: loss(x, tensor(label)), logits)
    expected = central_differences(lambda x: reference(x, label, weight), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("weight", "label"), [(None, 255), ([1.0, 2.0, 3.0], 255), ([0.0, 1.0, 1.0], 0)], ids=str
)
def test_nothing_that_counts_gives_zero(weight, label):
    label = tensor(np.full((2, 3, 5), label))
    loss = CrossEntropyLoss(weight=weight)
    value, gradient = loss_and_gradient(lambda x: loss(x, label), normal((2, 3, 3, 5), seed=5))
    assert value == 0
    assert (gradient == 0).all()


def test_extreme_logits():
    logits, label = extremes((2, 3, 5, 5), seed=6), labels((2, 5, 5), 3)
    value, gradient = loss_and_gradient(lambda x: cross_entropy_loss(x, tensor(label)), logits)
    # The kernel for CPUs limits differences of logits to 64, that for GPUs does not.
    assert reference(logits * 0.4, label) * (1 - 1e-5) <= value <= reference(logits, label) * (1 + 1e-5)
    kept = (label != 255)[:, None]
    one_hot = label[:, None] == np.arange(3)[:, None, None]
    expected = kept * (np.exp(log_softmax(logits, 1)) - one_hot) / kept.sum()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-9)


def test_half_precision_is_computed_in_float32():
    logits = tensor(normal((1, 3, 4, 4), seed=7)).astype("bfloat16")
    label = labels((1, 4, 4), 3)
    value = CrossEntropyLoss(weight=[1, 2, 3])(logits, tensor(label))
    assert value.dtype == paddle.float32
    expected = reference(logits.astype("float32").numpy(), label, [1, 2, 3])
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_float64_stays_float64():
    logits, label = normal((1, 3, 4, 4), seed=8).astype("float64"), labels((1, 4, 4), 3)
    value = CrossEntropyLoss(weight=[1, 2, 3])(tensor(logits), tensor(label))
    assert value.dtype == paddle.float64
    np.testing.assert_allclose(float(value), reference(logits, label, [1, 2, 3]), rtol=1e-12)


@pytest.mark.parametrize("label_shape", [(2, 1, 4, 5), (2, 4, 4), (1, 4, 5), (2, 4)], ids=str)
def test_label_that_does_not_fit(label_shape):
    logits = tensor(normal((2, 3, 4, 5), seed=9))
    with pytest.raises(UserError) as error:
        cross_entropy_loss(logits, paddle.zeros(label_shape, dtype="int64"))
    message = str(error.value)
    assert str(list(label_shape)) in message
    assert "[2, 3, 4, 5]" in message
    assert "need [2, 4, 5]" in message
    assert "\n" not in message


def test_logits_without_classes():
    with pytest.raises(UserError, match=r"logits need .* have \[3\]"):
        cross_entropy_loss(paddle.zeros([3]), paddle.zeros([3], dtype="int64"))


def test_weight_of_the_wrong_length():
    loss = CrossEntropyLoss(weight=[1.0, 2.0])
    with pytest.raises(UserError, match=r"weight has the shape \[2\] where logits of \[1, 3, 2, 2\] .* 3 cl"):
        loss(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 2, 2], dtype="int64"))


@pytest.mark.parametrize("weight", [[1.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]], ids=str)
def test_weight_that_is_no_weight(weight):
    with pytest.raises(UserError, match="weight must hold numbers that are 0 or more"):
        CrossEntropyLoss(weight=weight)


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="on a GPU Paddle's kernel aborts the process")
@pytest.mark.parametrize(("bad", "seen"), [(3, "from 0 to 3"), (-1, "from -1 to 0")])
def test_label_outside_the_classes(bad, seen):
    label = np.array([[[0, 255], [bad, 0]]])
    with pytest.raises(UserError, match=seen) as error:
        cross_entropy_loss(paddle.zeros([1, 3, 2, 2]), tensor(label))
    assert "has 3, counted from 0" in str(error.value)


def test_is_registered_as_a_task_loss_without_state():
    loss = manager.LOSSES["CrossEntropyLoss"](weight=[1.0, 2.0])
    assert loss.against == "label"
    assert not loss.state_dict()
    assert not loss.parameters()
