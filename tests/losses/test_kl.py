import numpy as np
import paddle
import pytest
from loss_reference import (
    central_differences,
    divergence,
    extremes,
    log_softmax,
    loss_and_gradient,
    normal,
    tensor,
    wave,
)

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses import KLLoss, kl_loss

SHAPES = [(2, 3, 5, 7), (1, 4, 3, 3), (2, 1, 5, 3), (6, 5), (2, 3, 7)]


def reference(student, teacher, label=None, temperature=1.0, reduction="mean"):
    values = divergence(student, teacher, 1, temperature)
    if reduction == "mean":
        values = values / student.shape[1]
    return values.mean() if label is None else values[label != 255].mean()


def labels(shape, classes, seed=0):
    random = np.random.RandomState(seed)
    label = random.randint(0, classes, shape)
    label[random.rand(*shape) < 0.3] = 255
    label.flat[0] = 0
    return label


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "pixel"])
@pytest.mark.parametrize("temperature", [1, 4.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_formula(shape, temperature, reduction, masked):
    student, teacher = normal(shape, seed=1), normal(shape, seed=2)
    label = labels((shape[0], *shape[2:]), shape[1]) if masked else None
    loss = KLLoss(temperature=temperature, reduction=reduction)
    value = loss(tensor(student), tensor(teacher), tensor(label) if masked else None)
    expected = reference(student, teacher, label, temperature, reduction)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-7)
    assert value.shape == []


# PaddleSeg 2.8.0 on Paddle 3.3.1.
@pytest.mark.parametrize(
    ("ignoring", "temperature", "golden"),
    [
        (None, 1, 0.53336823),
        (None, 4.0, 0.73546499),
        (False, 1, 0.53336823),
        (False, 4.0, 0.73546499),
        (True, 1, 0.52334046),
        (True, 4.0, 0.72471255),
    ],
)
def test_equals_paddleseg(ignoring, temperature, golden):
    label = (np.arange(40) * 7 % 3).reshape(2, 4, 5)
    if ignoring:
        label[0, :2] = 255
        label[1, 3, 4] = 255
    student, teacher = wave((2, 3, 4, 5), 0.7, 3.0), wave((2, 3, 4, 5), 1.3, 2.0)
    loss = KLLoss(temperature=temperature)
    value = loss(tensor(student), tensor(teacher), None if ignoring is None else tensor(label))
    np.testing.assert_allclose(float(value), golden, rtol=2e-6)


def test_equals_paddleseg_on_vectors():
    student, teacher = wave((2, 3, 4, 5), 0.7, 3.0), wave((2, 3, 4, 5), 1.3, 2.0)
    value = KLLoss(temperature=2.0)(tensor(student[:, :, 0, 0]), tensor(teacher[:, :, 0, 0]))
    np.testing.assert_allclose(float(value), 0.43259129, rtol=2e-6)


@pytest.mark.parametrize("reduction", ["mean", "pixel"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradient(reduction, masked):
    student, teacher = normal((2, 3, 3, 2), seed=3), normal((2, 3, 3, 2), seed=4)
    label = labels((2, 3, 2), 3) if masked else None
    loss = KLLoss(temperature=3.0, reduction=reduction)
    given = tensor(label) if masked else None
    _, gradient = loss_and_gradient(lambda x: loss(x, tensor(teacher), given), student)
    expected = central_differences(lambda x: reference(x, teacher, label, 3.0, reduction), student)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_teacher_gets_no_gradient():
    student = paddle.to_tensor(normal((1, 3, 2, 2), seed=5), stop_gradient=False)
    teacher = paddle.to_tensor(normal((1, 3, 2, 2), seed=6), stop_gradient=False)
    kl_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_is_zero_where_both_agree():
    logits = normal((2, 3, 4, 5), seed=7)
    value, gradient = loss_and_gradient(lambda x: kl_loss(x, tensor(logits), temperature=2.0), logits)
    assert abs(value) < 1e-7
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "pixel"])
def test_all_ignored_gives_zero(reduction):
    label = tensor(np.full((2, 4, 5), 255))
    teacher = tensor(normal((2, 3, 4, 5), seed=8))
    value, gradient = loss_and_gradient(
        lambda x: kl_loss(x, teacher, label, reduction=reduction), normal((2, 3, 4, 5), seed=9)
    )
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_extreme_logits(temperature):
    student, teacher = extremes((2, 3, 5, 5), seed=10), extremes((2, 3, 5, 5), seed=11)
    value, gradient = loss_and_gradient(
        lambda x: kl_loss(x, tensor(teacher), temperature=temperature), student
    )
    np.testing.assert_allclose(value, reference(student, teacher, temperature=temperature), rtol=1e-5)
    p, q = (np.exp(log_softmax(logits / temperature, 1)) for logits in (teacher, student))
    np.testing.assert_allclose(gradient, temperature * (q - p) / student.size, rtol=1e-4, atol=1e-9)


def test_half_precision_is_computed_in_float32():
    student, teacher = (tensor(normal((1, 3, 4, 4), seed=s)).astype("bfloat16") for s in (12, 13))
    value = KLLoss(temperature=2.0)(student, teacher)
    assert value.dtype == paddle.float32
    wide = [logits.astype("float32").numpy() for logits in (student, teacher)]
    np.testing.assert_allclose(float(value), reference(*wide, temperature=2.0), rtol=1e-5)


def test_shapes_that_differ():
    with pytest.raises(UserError, match=r"student \[1, 3, 2, 2\] and teacher \[1, 3, 4, 4\] differ"):
        kl_loss(paddle.zeros([1, 3, 2, 2]), paddle.zeros([1, 3, 4, 4]))


def test_logits_of_one_axis():
    with pytest.raises(UserError, match=r"need two axes at least, and have the shape \[3\]"):
        kl_loss(paddle.zeros([3]), paddle.zeros([3]))


@pytest.mark.parametrize("label_shape", [(2, 2, 2), (1, 1, 2, 2), (1, 2)], ids=str)
def test_label_that_does_not_fit(label_shape):
    logits = paddle.zeros([1, 3, 2, 2])
    with pytest.raises(UserError, match=r"label has the shape .* \[1, 3, 2, 2\] need \[1, 2, 2\]"):
        kl_loss(logits, logits, paddle.zeros(label_shape, dtype="int64"))


def test_label_of_the_images_size_serves_smaller_logits():
    student, teacher = normal((2, 3, 4, 5), seed=14), normal((2, 3, 4, 5), seed=15)
    label = labels((2, 4, 5), 3)
    large = label.repeat(3, axis=1).repeat(2, axis=2)
    value = kl_loss(tensor(student), tensor(teacher), tensor(large))
    np.testing.assert_allclose(float(value), reference(student, teacher, label), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_temperature_that_is_none(temperature):
    logits = paddle.zeros([1, 3, 2, 2])
    for call in (
        lambda: KLLoss(temperature=temperature),
        lambda: kl_loss(logits, logits, temperature=temperature),
    ):
        with pytest.raises(UserError, match="temperature must be a positive number, not"):
            call()


def test_unknown_reduction():
    logits = paddle.zeros([1, 3, 2, 2])
    for call in (lambda: KLLoss(reduction="sum"), lambda: kl_loss(logits, logits, reduction="sum")):
        with pytest.raises(UserError, match="unknown reduction 'sum': it is one of 'mean', 'pixel'"):
            call()


def test_is_registered_as_a_distillation_loss():
    assert manager.LOSSES["KLLoss"]().against == "teacher"
