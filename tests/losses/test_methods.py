"""What holds for every distillation loss: its formula, its gradient, its label, its precision."""

import functools

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_reference import central_differences, extremes, loss_and_gradient, normal, tensor
from method_reference import pairwise
from methods import METHODS, NUM_CLASSES

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.combine import takes_label

each = pytest.mark.parametrize("method", METHODS, ids=repr)
each_masking = pytest.mark.parametrize("method", [m for m in METHODS if m.masks], ids=repr)


def labels(shape, seed, ignored=0.3, classes=NUM_CLASSES):
    random = np.random.RandomState(seed)
    label = random.randint(0, classes, shape)
    label[random.rand(*shape) < ignored] = 255
    return label


def check_value(method, student, teacher, label):
    paddle.seed(1)
    loss = method.build(student.shape[1], teacher.shape[1])
    value = method.call(loss, tensor(student), tensor(teacher), tensor(label))
    assert value.shape == []
    assert value.dtype == paddle.float32
    expected = method.expected(loss, student, teacher, label)
    # Beside the relative error, what float32 leaves of a difference of two numbers near 1.
    np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-6 if expected < 0.1 else 0)


@each
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_equals_the_formula(method, data):
    N, C, H, W = (data.draw(st.integers(1, most)) for most in (3, 6, 7, 7))
    teacher_channels = data.draw(st.integers(1, 6)) if method.any_channels else C
    label_size = (data.draw(st.integers(1, 3)) * H + data.draw(st.integers(0, 3)), 2 * W + 1)
    ignored = data.draw(st.sampled_from([0.0, 0.3, 0.9]))
    label = labels((N, *label_size), seed=3, ignored=ignored, classes=NUM_CLASSES - 1)
    scale = data.draw(st.sampled_from([0.5, 2.0]))
    student = normal((N, C, H, W), data.draw(st.integers(0, 99)), scale)
    teacher = normal((N, teacher_channels, H, W), data.draw(st.integers(100, 199)), scale)
    check_value(method, student, teacher, label)


@each
@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (1, 1, 1, 1), (1, 5, 3, 3), (4, 2, 1, 7)], ids=str)
def test_equals_the_formula_at_the_edge(method, shape):
    N, C, H, W = shape
    student, teacher = normal(shape, seed=1), normal(shape, seed=2)
    check_value(method, student, teacher, labels((N, H, W), seed=3))


@each
@pytest.mark.parametrize("label_size", [(3, 4), (7, 9)], ids=str)
def test_gradient(method, label_size):
    paddle.seed(2)
    paddle.set_default_dtype("float64")
    try:
        loss = method.build(3, 5 if method.any_channels else 3)
    finally:
        paddle.set_default_dtype("float32")
    student = normal((2, 3, 3, 4), seed=5).astype("float64")
    teacher = normal((2, 5 if method.any_channels else 3, 3, 4), seed=6).astype("float64")
    label = labels((2, *label_size), seed=7)
    _, gradient = loss_and_gradient(lambda x: method.call(loss, x, tensor(teacher), tensor(label)), student)
    formula = functools.partial(method.expected, loss)
    if method.name == "SegPairWiseLoss":  # whose norms count as constants
        formula = functools.partial(lambda s, t, _: pairwise(s, t, norms_of=student))
    expected = central_differences(lambda x: formula(x, teacher, label), student)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())


@each
def test_teacher_gets_no_gradient(method):
    loss = method.build(3, 3)
    student, teacher = (paddle.to_tensor(normal((2, 3, 4, 4), s), stop_gradient=False) for s in (1, 2))
    method.call(loss, student, teacher, tensor(labels((2, 4, 4), seed=3))).backward()
    assert teacher.grad is None
    assert np.abs(student.grad.numpy()).max() > 0
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in loss.parameters() if len(p.shape) == 4)


@each_masking
def test_all_ignored_gives_zero(method):
    loss = method.build(3, 3)
    before = {name: value.numpy() for name, value in loss.state_dict().items() if "vectors" in name}
    label = tensor(np.full((2, 8, 8), 255))
    teacher = tensor(normal((2, 3, 4, 5), seed=8))
    value, gradient = loss_and_gradient(lambda x: loss(x, teacher, label), normal((2, 3, 4, 5), seed=9))
    assert value == 0
    assert (gradient == 0).all()
    for name, array in before.items():
        np.testing.assert_array_equal(loss.state_dict()[name].numpy(), array)


@each_masking
def test_ignored_pixels_do_not_count(method):
    student, teacher = normal((2, 3, 4, 5), seed=1), normal((2, 3, 4, 5), seed=2)
    label = labels((2, 4, 5), seed=3)
    other_teacher = np.where((label == 255)[:, None], np.float32(7), teacher)
    other_student = np.where((label == 255)[:, None], np.float32(3), student)
    if method.name in ("MGDLoss", "CIRKDMemoryLoss"):
        other_student = student  # convolutions and batch norm carry it to pixels that are kept
    values = []
    for pair in ((student, teacher), (other_student, other_teacher)):
        paddle.seed(4)
        loss = method.build(3, 3)
        values.append(float(loss(*map(tensor, pair), tensor(label))))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)


@each
@pytest.mark.parametrize("teacher_value", [0.0, 1.0, None])
@pytest.mark.parametrize("student_value", [0.0, 1.0, -3.0])
def test_constant_features_give_finite_numbers(method, student_value, teacher_value):
    student = np.full((2, 3, 4, 5), student_value, dtype="float32")
    teacher = normal(student.shape, 1) if teacher_value is None else np.full_like(student, teacher_value)
    loss, label = method.build(3, 3), tensor(labels((2, 4, 5), seed=3))
    value, gradient = loss_and_gradient(lambda x: method.call(loss, x, tensor(teacher), label), student)
    assert np.isfinite(value)
    # One that is finite but immense would ruin the student all the same. Batch norm has its own, however:
    # it makes rounding errors of a constant channel.
    assert np.abs(gradient).max() < (1e6 if method.name == "CIRKDMemoryLoss" else 1e3)
    assert all(np.isfinite(p.grad.numpy()).all() for p in loss.parameters() if p.grad is not None)


@each
def test_extreme_features_give_finite_numbers(method):
    student, teacher = extremes((2, 3, 5, 5), seed=9), extremes((2, 3, 5, 5), seed=10)
    loss, label = method.build(3, 3), tensor(labels((2, 5, 5), seed=3))
    value, gradient = loss_and_gradient(lambda x: method.call(loss, x, tensor(teacher), label), student)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@each
@pytest.mark.parametrize("automatic", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(method, dtype, automatic):
    student, teacher = (tensor(normal((2, 3, 4, 4), seed=s)).astype(dtype) for s in (11, 12))
    label = labels((2, 4, 4), seed=3)
    loss = method.build(3, 3)
    with paddle.amp.auto_cast(automatic, level="O2", dtype=dtype):
        value = method.call(loss, student, teacher, tensor(label))
    assert value.dtype == paddle.float32
    wide = [x.astype("float32").numpy() for x in (student, teacher)]
    # On a GPU a loss's own convolutions compute in half precision under `auto_cast`, on a CPU nothing does.
    lowered = (
        automatic and paddle.is_compiled_with_cuda() and any(len(p.shape) == 4 for p in loss.parameters())
    )
    rtol = 2e-2 if lowered else 1e-5
    np.testing.assert_allclose(float(value), method.expected(loss, *wide, label), rtol=rtol, atol=1e-6)


@each
def test_shapes_that_differ(method):
    loss = method.build(3, 3)
    with pytest.raises(UserError, match=r"\[2, 3, 4, 4\].*\[2, 3, 4, 5\]"):
        method.call(
            loss,
            paddle.zeros([2, 3, 4, 4]),
            paddle.zeros([2, 3, 4, 5]),
            paddle.zeros([2, 4, 4], dtype="int64"),
        )


@each_masking
def test_label_of_another_batch(method):
    features = paddle.zeros([2, 3, 4, 4])
    with pytest.raises(UserError, match=r"label has the shape \[1, 8, 8\] .* \[2, 3, 4, 4\]"):
        method.build(3, 3)(features, features, paddle.zeros([1, 8, 8], dtype="int64"))


@each
def test_a_label_is_needed_where_it_is_said_to_be(method):
    loss = method.build(3, 3)
    features = paddle.rand([2, 3, 4, 4])
    assert takes_label(loss, 2) == method.masks
    if getattr(loss, "needs_label", False):
        with pytest.raises(UserError, match=f"{method.name} .*needs the label map"):
            loss(features, features)
    else:
        loss(features, features)


@each
def test_is_registered_as_a_distillation_loss(method):
    assert manager.LOSSES[method.name] is method.loss_class
    assert method.loss_class.against == "teacher"


def test_no_name_is_one_of_paddleslims():
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS

    # Its KLLoss takes two probabilities; this project's, PaddleSeg's, has always gone before it.
    assert {m.name for m in METHODS} & set(BASIC_LOSS.module_dict) == {"KLLoss"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("DISTLoss", {"beta": -1}, "beta must be a number of 0 or above, not -1"),
        ("DISTLoss", {"gamma": -0.5}, "gamma must be a number of 0 or above, not -0.5"),
        ("DISTLoss", {"temperature": 0}, "temperature must be a positive number, not 0"),
        ("SegPairWiseLoss", {"scale": 0}, "scale must be above 0 and at most 1, not 0"),
        ("SegPairWiseLoss", {"scale": 1.5}, "scale must be above 0 and at most 1, not 1.5"),
        ("IFVDLoss", {"num_classes": 0}, "num_classes must be a whole number above 0, not 0"),
        ("ATLoss", {"p": 0}, "p must be a positive number, not 0"),
        ("ATLoss", {"p": float("nan")}, "p must be a positive number, not nan"),
        ("CIRKDMiniBatchLoss", {"temperature": -1}, "temperature must be a positive number, not -1"),
        ("MGDLoss", {}, "MGDLoss needs student_channels, the number of channels"),
        ("MGDLoss", {"student_channels": 3}, "MGDLoss needs teacher_channels"),
        ("MGDLoss", {"alpha": -1.0}, "alpha must be a number of 0 or above, not -1.0"),
        ("MGDLoss", {"mask_ratio": 1}, "mask_ratio must be 0 or above and below 1, not 1"),
        ("MGDLoss", {"mask_ratio": -0.1}, "mask_ratio must be 0 or above and below 1, not -0.1"),
        ("AttnFDLoss", {}, "AttnFDLoss needs student_channels"),
        ("CIRKDMemoryLoss", {"num_classes": 0}, "num_classes must be a whole number above 0, not 0"),
        ("CIRKDMemoryLoss", {"num_classes": 4}, "CIRKDMemoryLoss needs student_channels"),
        ("CIRKDMemoryLoss", {"pixel_memory_size": 0}, "pixel_memory_size must be a whole number above 0"),
        ("CIRKDMemoryLoss", {"region_contrast_size": 1.5}, "region_contrast_size must be a whole number"),
        ("CIRKDMemoryLoss", {"pixel_weight": -1}, "pixel_weight must be a number of 0 or above, not -1"),
        ("CIRKDMemoryLoss", {"kd_temperature": 0}, "kd_temperature must be a positive number, not 0"),
    ],
)
def test_hyperparameters_that_are_refused(name, arguments, message):
    channels = {"student_channels": 3, "teacher_channels": 3}
    supplied = {
        "MGDLoss": channels if {"alpha", "mask_ratio"} & set(arguments) else {},
        "CIRKDMemoryLoss": {} if arguments.get("num_classes") == 4 else {"num_classes": 4, **channels},
    }
    with pytest.raises(UserError, match=message):
        manager.LOSSES[name](**{**supplied.get(name, {}), **arguments})
