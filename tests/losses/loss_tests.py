"""The tests that every loss must pass.

The test of a new loss is a class that derives from `TaskLossTests`, `DistillationLossTests` or
`MaskedLossTests`, names the loss and writes its formula in float64 NumPy, as in `test_dice.py` and
`test_fitnet.py`.
"""

import json
import pathlib

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loss_reference import central_differences, extremes, labels, loss_and_gradient, normal, tensor, wave

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.combine import takes_label
from paddleseg.utils import signature

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
PADDLESEG = json.loads((GOLDEN / "losses.json").read_text())
NUM_CLASSES = 4


class LossTests:
    """What holds for every loss.

    Attributes:
        loss: the class.
        cases: dicts of hyperparameters; the tests run with each of them.
        against: the second argument of the loss.
        refused: [(hyperparameters, pattern of the message)], a sample of what the constructor refuses.
    """

    loss = None
    cases = ({},)
    against = None
    refused = ()

    def test_is_registered(self):
        assert manager.LOSSES[self.loss.__name__] is self.loss
        assert self.loss.against == self.against

    def test_refuses_what_is_out_of_range(self):
        assert self.refused or set(signature.parameters(self.loss)) == {"ignore_index"}
        for hyperparameters, message in self.refused:
            with pytest.raises(UserError, match=message):
                self.loss(**hyperparameters)


class TaskLossTests(LossTests):
    """What holds for every loss of logits and a label. A derived class defines `formula`.

    Attributes:
        shapes: of logits.
        small: a shape that is small enough for central differences.
    """

    against = "label"
    shapes = ((2, 3, 5, 7), (1, 4, 3, 3), (2, 3, 7), (6, 5))
    small = (2, 3, 3, 2)

    @staticmethod
    def formula(logits, label, **hyperparameters):
        """Return the loss in float64 NumPy, from its paper, computed in another way than the code."""
        raise NotImplementedError

    def label(self, shape, classes=None):
        """Return a label for logits of that shape, which holds class 0 and ignored pixels."""
        label = labels((shape[0], *shape[2:]), classes or max(shape[1], 2))
        label.flat[-1] = 255
        return label

    def check(self, logits, label, case, rtol=1e-5, atol=1e-7):
        """Compare value and formula; return the gradient."""
        value, gradient = loss_and_gradient(lambda x: self.loss(**case)(x, tensor(label)), logits)
        np.testing.assert_allclose(value, self.formula(logits, label, **case), rtol=rtol, atol=atol)
        assert np.isfinite(gradient).all()
        return gradient

    def test_equals_the_formula(self, case, shape):
        logits, label = normal(shape, seed=1), self.label(shape)
        self.check(logits, label, case)
        assert self.loss(**case)(tensor(logits), tensor(label)).shape == []

    def test_gradient(self, case):
        logits, label = normal(self.small, seed=2), self.label(self.small)
        gradient = self.check(logits, label, case)
        expected = central_differences(lambda x: self.formula(x, label, **case), logits)
        np.testing.assert_allclose(gradient, expected, rtol=2e-4, atol=2e-6)
        assert (gradient[np.broadcast_to(label[:, None] == 255, self.small)] == 0).all()

    def test_all_pixels_ignored(self, case):
        label = tensor(np.full_like(self.label(self.small), 255))
        value, gradient = loss_and_gradient(lambda x: self.loss(**case)(x, label), normal(self.small, seed=3))
        assert value == 0
        assert (gradient == 0).all()

    def test_a_sample_without_valid_pixels(self, case):
        shape = (2, *self.small[1:])
        label = self.label(shape)
        label[1] = 255
        self.check(normal(shape, seed=4), label, case)

    def test_a_single_class_in_the_label(self, case):
        self.check(normal(self.small, seed=5), self.label(self.small, classes=1), case)

    def test_any_label_can_be_the_ignored_one(self, case):
        logits, label = tensor(normal(self.small, seed=6)), self.label(self.small)
        expected = float(self.loss(**case)(logits, tensor(label)))
        for ignore_index in (-1, -100, 7):
            renamed = tensor(np.where(label == 255, ignore_index, label))
            assert float(self.loss(**case, ignore_index=ignore_index)(logits, renamed)) == expected

    def test_does_not_change_the_label(self, case):
        label = self.label(self.small)
        given_label = tensor(label)
        self.loss(**case)(tensor(normal(self.small, seed=7)), given_label)
        np.testing.assert_array_equal(given_label.numpy(), label)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision_is_computed_in_float32(self, case, dtype):
        logits, label = tensor(normal(self.small, seed=8)).astype(dtype), self.label(self.small)
        value = self.loss(**case)(logits, tensor(label))
        assert value.dtype == paddle.float32
        expected = self.formula(logits.astype("float32").numpy(), label, **case)
        np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-7)

    def test_float64_stays_float64(self, case):
        logits, label = normal(self.small, seed=9).astype("float64"), self.label(self.small)
        self.check(logits, label, case, rtol=1e-8, atol=1e-12)
        assert self.loss(**case)(tensor(logits), tensor(label)).dtype == paddle.float64

    def test_extreme_logits_give_finite_numbers(self, case):
        label = tensor(self.label(self.small))
        value, gradient = loss_and_gradient(
            lambda x: self.loss(**case)(x, label), extremes(self.small, seed=10)
        )
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()

    @pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="on a GPU the label is not read")
    @pytest.mark.parametrize(("bad", "range_"), [(5, "from 0 to 5"), (-1, "from -1 to 0")])
    def test_refuses_a_label_outside_the_classes(self, bad, range_):
        label = np.zeros((self.small[0], *self.small[2:]), dtype="int64")
        label[0, 0, 1], label[-1, -1, -1] = 255, bad
        with pytest.raises(UserError, match=f"{range_}, but the model has {self.small[1]}, counted from 0"):
            self.loss()(tensor(normal(self.small, seed=11)), tensor(label))

    @pytest.mark.parametrize("label_shape", [(2, 1, 9, 9), (2, 9, 8), (1, 9, 9), (2, 9)], ids=str)
    def test_refuses_a_label_that_does_not_fit(self, label_shape):
        with pytest.raises(UserError) as error:
            self.loss()(paddle.zeros([2, 2, 9, 9]), paddle.zeros(label_shape, dtype="int64"))
        assert str(error.value).startswith(
            f"label has the shape {list(label_shape)} where logits of [2, 2, 9, 9] need [2, 9, 9]"
        )

    def test_has_no_state(self):
        loss = self.loss(**self.cases[0])
        assert not loss.state_dict()
        assert not loss.parameters()

    def test_equals_paddleseg(self):
        """The figures are PaddleSeg 2.8.0's, made by `tests/golden/released_training.py`."""
        figures = np.load(GOLDEN / "losses.npz")
        own = [(i, golden) for i, golden in enumerate(PADDLESEG) if golden["type"] == self.loss.__name__]
        assert own
        for i, golden in own:
            loss, tolerance = self.as_in_paddleseg(dict(golden["params"]))
            label = tensor(figures[f"{i}_label"])
            value, gradient = loss_and_gradient(
                lambda x, loss=loss, label=label: loss(x, label), wave(golden["shape"], 0.7, 3.0)
            )
            np.testing.assert_allclose(value, figures[f"{i}_value"], rtol=tolerance, err_msg=str(golden))
            expected = figures[f"{i}_gradient"]
            atol = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=atol, err_msg=str(golden))

    def as_in_paddleseg(self, params):
        """Return the loss that PaddleSeg's parameters stand for, and the tolerance of the comparison."""
        return self.loss(**params), 1e-6


class DistillationLossTests(LossTests):
    """What holds for every loss of student and teacher. A derived class defines `formula`.

    Attributes:
        any_channels: whether student and teacher may differ in channels.
        other_shapes: shapes of any axes that the loss takes.
        steepest: bound of the gradient at constant features.
    """

    against = "teacher"
    takes_label = False
    any_channels = True
    other_shapes = ((2, 3, 4, 5),)
    steepest = 1e3

    def build(self, student_channels, teacher_channels, **case):
        return self.loss(**case)

    def formula(self, loss, student, teacher, label):
        """Return the value of `loss` in float64 NumPy, written from its paper, one position after the other.

        Called after the loss, so that it may read the loss's state.
        """
        raise NotImplementedError

    def call(self, loss, student, teacher, label):
        return loss(student, teacher, label) if self.takes_label else loss(student, teacher)

    def value_and_gradient(self, loss, student, teacher, label):
        teacher, label = tensor(teacher), tensor(label)
        return loss_and_gradient(lambda x: self.call(loss, x, teacher, label), student)

    def check(self, student, teacher, label, case):
        """Compare value and formula."""
        paddle.seed(1)
        loss = self.build(student.shape[1], teacher.shape[1], **case)
        value = self.call(loss, tensor(student), tensor(teacher), tensor(label))
        assert value.shape == []
        assert value.dtype == paddle.float32
        expected = self.formula(loss, student, teacher, label)
        # Beside the relative error, what float32 leaves of a difference of two numbers near 1.
        np.testing.assert_allclose(float(value), expected, rtol=1e-5, atol=1e-6 if expected < 0.1 else 0)

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(data=st.data())
    def test_equals_the_formula(self, case, data):
        N, C, H, W = (data.draw(st.integers(1, most)) for most in (3, 6, 7, 7))
        teacher_channels = data.draw(st.integers(1, 6)) if self.any_channels else C
        label_size = (data.draw(st.integers(1, 3)) * H + data.draw(st.integers(0, 3)), 2 * W + 1)
        ignored = data.draw(st.sampled_from([0.0, 0.3, 0.9]))
        label = labels((N, *label_size), NUM_CLASSES - 1, seed=3, ignored=ignored)
        scale = data.draw(st.sampled_from([0.5, 2.0]))
        student = normal((N, C, H, W), data.draw(st.integers(0, 99)), scale)
        teacher = normal((N, teacher_channels, H, W), data.draw(st.integers(100, 199)), scale)
        self.check(student, teacher, label, case)

    @pytest.mark.parametrize("shape", [(1, 1, 5, 7), (1, 1, 1, 1), (1, 5, 3, 3), (4, 2, 1, 7)], ids=str)
    def test_equals_the_formula_at_the_edge(self, case, shape):
        label = labels((shape[0], *shape[2:]), NUM_CLASSES, seed=3)
        self.check(normal(shape, seed=1), normal(shape, seed=2), label, case)

    def test_equals_the_formula_on_other_axes(self, case):
        for shape in self.other_shapes:
            label = labels((shape[0], *shape[2:]), NUM_CLASSES, seed=3)
            self.check(normal(shape, seed=1), normal(shape, seed=2), label, case)

    @pytest.mark.parametrize("label_size", [(3, 4), (7, 9)], ids=str)
    def test_gradient_and_value_in_float64(self, case, label_size):
        channels = 5 if self.any_channels else 3
        paddle.seed(2)
        paddle.set_default_dtype("float64")
        try:
            loss = self.build(3, channels, **case)
        finally:
            paddle.set_default_dtype("float32")
        student = normal((2, 3, 3, 4), seed=5).astype("float64")
        teacher = normal((2, channels, 3, 4), seed=6).astype("float64")
        label = labels((2, *label_size), NUM_CLASSES, seed=7)
        value, gradient = self.value_and_gradient(loss, student, teacher, label)
        np.testing.assert_allclose(value, self.formula(loss, student, teacher, label), rtol=1e-11)
        expected = central_differences(self.function_to_differentiate(loss, student, teacher, label), student)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())

    def function_to_differentiate(self, loss, student, teacher, label):
        return lambda x: self.formula(loss, x, teacher, label)

    def test_float64_stays_float64(self, case):
        student, teacher = (tensor(normal((2, 3, 4, 4), s).astype("float64")) for s in (1, 2))
        paddle.set_default_dtype("float64")
        try:
            loss = self.build(3, 3, **case)
        finally:
            paddle.set_default_dtype("float32")
        label = tensor(labels((2, 4, 4), NUM_CLASSES, seed=3))
        assert self.call(loss, student, teacher, label).dtype == paddle.float64

    def test_teacher_gets_no_gradient(self):
        loss = self.build(3, 3)
        student, teacher = (paddle.to_tensor(normal((2, 3, 4, 4), s), stop_gradient=False) for s in (1, 2))
        self.call(loss, student, teacher, tensor(labels((2, 4, 4), NUM_CLASSES, seed=3))).backward()
        assert teacher.grad is None
        assert np.abs(student.grad.numpy()).max() > 0
        assert all(np.abs(p.grad.numpy()).max() > 0 for p in loss.parameters() if len(p.shape) == 4)

    @pytest.mark.parametrize("teacher_value", [0.0, 1.0, None])
    @pytest.mark.parametrize("student_value", [0.0, 1.0, -3.0])
    def test_constant_features_give_finite_numbers(self, student_value, teacher_value):
        student = np.full((2, 3, 4, 5), student_value, dtype="float32")
        teacher = normal(student.shape, 1) if teacher_value is None else np.full_like(student, teacher_value)
        loss = self.build(3, 3)
        value, gradient = self.value_and_gradient(
            loss, student, teacher, labels((2, 4, 5), NUM_CLASSES, seed=3)
        )
        assert np.isfinite(value)
        # A finite but immense gradient would ruin the student all the same.
        assert np.abs(gradient).max() < self.steepest
        assert all(np.isfinite(p.grad.numpy()).all() for p in loss.parameters() if p.grad is not None)

    def test_extreme_features_give_finite_numbers(self):
        student, teacher = extremes((2, 3, 5, 5), seed=9), extremes((2, 3, 5, 5), seed=10)
        label = labels((2, 5, 5), NUM_CLASSES, seed=3)
        value, gradient = self.value_and_gradient(self.build(3, 3), student, teacher, label)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()

    @pytest.mark.parametrize("automatic", [False, True])
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision_is_computed_in_float32(self, dtype, automatic):
        student, teacher = (tensor(normal((2, 3, 4, 4), seed=s)).astype(dtype) for s in (11, 12))
        label = labels((2, 4, 4), NUM_CLASSES, seed=3)
        loss = self.build(3, 3)
        with paddle.amp.auto_cast(automatic, level="O2", dtype=dtype):
            value = self.call(loss, student, teacher, tensor(label))
        assert value.dtype == paddle.float32
        wide = [x.astype("float32").numpy() for x in (student, teacher)]
        # On a GPU `auto_cast` lowers a loss's own convolutions to half precision, on a CPU nothing.
        convolutions = any(len(p.shape) == 4 for p in loss.parameters())
        rtol = 2e-2 if automatic and convolutions and paddle.is_compiled_with_cuda() else 1e-5
        np.testing.assert_allclose(float(value), self.formula(loss, *wide, label), rtol=rtol, atol=1e-6)

    def test_refuses_shapes_that_differ(self):
        student, teacher = paddle.zeros([2, 3, 4, 4]), paddle.zeros([2, 3, 4, 5])
        with pytest.raises(UserError, match=r"student \[2, 3, 4, 4\] and teacher \[2, 3, 4, 5\]"):
            self.call(self.build(3, 3), student, teacher, paddle.zeros([2, 4, 4], dtype="int64"))

    def test_refuses_tensors_of_one_axis(self):
        with pytest.raises(UserError, match=r"need two axes at least, and have the shape \[3\]|feature maps"):
            self.call(
                self.build(3, 3), paddle.zeros([3]), paddle.zeros([3]), paddle.zeros([2], dtype="int64")
            )

    def test_needs_a_label_if_it_says_so(self):
        loss, features = self.build(3, 3), paddle.rand([2, 3, 4, 4])
        assert takes_label(loss, 2) == self.takes_label
        if getattr(loss, "needs_label", False):
            with pytest.raises(UserError, match=f"{self.loss.__name__} .*needs the label map"):
                loss(features, features)
        else:
            loss(features, features)


class MaskedLossTests(DistillationLossTests):
    """What holds for every loss of student and teacher that takes a label, which leaves pixels out.

    Attributes:
        spreads: whether ignored pixels of the student reach valid ones, as through a convolution.
    """

    takes_label = True
    spreads = False

    def test_without_valid_pixels_it_is_zero_and_remembers_nothing(self, case):
        loss = self.build(3, 3, **case)
        before = {name: value.numpy() for name, value in loss.state_dict().items() if "vectors" in name}
        student, teacher = normal((2, 3, 4, 5), seed=9), normal((2, 3, 4, 5), seed=8)
        value, gradient = self.value_and_gradient(loss, student, teacher, np.full((2, 8, 8), 255))
        assert value == 0
        assert (gradient == 0).all()
        for name, array in before.items():
            np.testing.assert_array_equal(loss.state_dict()[name].numpy(), array)

    def test_ignored_pixels_do_not_count(self, case):
        student, teacher = normal((2, 3, 4, 5), seed=1), normal((2, 3, 4, 5), seed=2)
        label = labels((2, 4, 5), NUM_CLASSES, seed=3)
        ignored = (label == 255)[:, None]
        others = (
            student if self.spreads else np.where(ignored, np.float32(3), student),
            np.where(ignored, np.float32(7), teacher),
        )
        values = []
        for pair in ((student, teacher), others):
            paddle.seed(4)
            loss = self.build(3, 3, **case)
            values.append(float(loss(*map(tensor, pair), tensor(label))))
        np.testing.assert_allclose(values[1], values[0], rtol=1e-5)

    @pytest.mark.parametrize("label_shape", [(1, 8, 8), (2, 1, 4, 4), (2, 4)], ids=str)
    def test_refuses_a_label_that_does_not_fit(self, label_shape):
        features, label = paddle.zeros([2, 3, 4, 4]), paddle.zeros(label_shape, dtype="int64")
        with pytest.raises(UserError, match=r"label has the shape .* \[2, 3, 4, 4\] need \[2, 4, 4\]"):
            self.build(3, 3)(features, features, label)
