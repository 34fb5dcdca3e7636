"""Taps of tensors that an operation overwrites in place after the place that a tap names."""

import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
from stepping import BATCH, SHAPE, feature, make_step

from paddleseg.distill import AdaptorBase
from paddleseg.distill.feature_loss import FeatureLoss
from paddleseg.distill.taps import Tap, Taps
from paddleseg.errors import UserError

IMAGES = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype("float32"))
LAYER, INPUT, ATTRIBUTE = Tap("output_of", "body.0"), Tap("input_of", "act"), Tap("attr", "kept")


def write_to_view(x):
    """Set the first channel of x to 0, through a view."""
    x.reshape([x.shape[0], -1])[:, :1] = 0.0
    return x


def set_zero(x):
    """Set x to 0 by `set_value`, which does not change the tensor's version."""
    with paddle.no_grad():
        x.set_value(paddle.zeros_like(x))
    return x


OPERATIONS = [F.relu_, lambda x: x.add_(paddle.ones([1])), write_to_view, set_zero]


class Act(nn.Layer):
    """Calls `Act.operation`, which may overwrite its input."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def forward(self, x):
        return self.operation(x)


class Net(nn.Layer):
    """A layer whose output is left on the model, in several ways, before an operation follows."""

    def __init__(self, operation=F.relu_):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, 4, 3, padding=1))
        self.act = Act(operation)
        self.classify = nn.Conv2D(4, 2, 1)

    def forward(self, x):
        self.kept = y = self.body(x)
        self.pair = [x, y]
        self.named = {"features": y}
        self.appended = []
        self.appended.append(y)
        return [self.classify(self.act(y))]


class Named(AdaptorBase):
    """Names tensors that forward leaves, one of them computed from an attribute."""

    def mapping_layers(self):
        mapping = {"layer": "body.0"}
        if self.add_tensor:
            model = self.model
            mapping.update(kept=model.kept, twice=2 * model.kept, features=model.named["features"])
        return mapping


def reader(model, *declared, adaptor_class=None):
    """Return a function that runs a model and returns the tensors of its taps."""
    taps = Taps(
        model, "student", adaptor_class, [(tap, f"c.yml:{i}: here") for i, tap in enumerate(declared)]
    )

    def read(images=IMAGES):
        model(images)
        return taps.read()

    return read


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_tap_shows_the_tensor_at_its_place(operation):
    model = Net(operation)
    taps = [LAYER, INPUT, ATTRIBUTE, Tap("attr", "pair", 1)]
    read = reader(model, *taps)
    for images in (IMAGES, 2 * IMAGES, -IMAGES):  # copied in the first pass, and in later ones
        expected = model.body(images).numpy()
        for tap, tensor in read(images).items():
            np.testing.assert_array_equal(tensor.numpy(), expected, str(tap))
    assert not np.array_equal(model.kept.numpy(), expected), "the model keeps its own tensor"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_adaptor_shows_the_tensors_at_their_place(operation):
    model = Net(operation)
    read = reader(model, adaptor_class=Named)
    for images in (IMAGES, 2 * IMAGES, -IMAGES):
        expected = model.body(images).numpy()
        for name, tensor in read(images).items():
            factor = 2 if name == "twice" else 1
            np.testing.assert_array_equal(tensor.numpy(), factor * expected, name)


def test_what_is_copied_is_said_once(lines):
    read = reader(Net(), LAYER)
    read(), read()
    assert lines == ["c.yml:0: here: an in-place operation overwrites this tensor later, so it is copied"]


def test_what_is_not_overwritten_is_not_copied(lines):
    class Changed(Net):
        def forward(self, x):
            self.after = F.relu_(self.body(x))
            return [self.classify(self.after)]

    model = Changed()
    read = reader(model, Tap("attr", "after"), Tap("input_of", "classify"))
    for _ in range(2):
        assert all(tensor is model.after for tensor in read().values())
    assert lines == []


def test_the_same_tensor_at_two_moments():
    class Twice(Net):
        def forward(self, x):
            self.before = y = self.body(x)
            self.after = self.act(y)
            return [self.classify(y)]

    model = Twice()
    before, after = Tap("attr", "before"), Tap("attr", "after")
    read = reader(model, before, after)
    for images in (IMAGES, -IMAGES):
        tensors, expected = read(images), model.body(images)
        np.testing.assert_array_equal(tensors[before].numpy(), expected.numpy())
        np.testing.assert_array_equal(tensors[after].numpy(), F.relu(expected).numpy())


def test_a_tensor_that_a_later_pass_overwrites_for_the_first_time_is_refused():
    for tap in (LAYER, ATTRIBUTE):
        operation = {"in place": False}
        model = Net(lambda x, operation=operation: (F.relu_ if operation["in place"] else F.relu)(x))
        read = reader(model, tap)
        read()
        operation["in place"] = True
        with pytest.raises(UserError, match="^c.yml:0: here: an in-place operation has overwritten this"):
            read()


def test_a_tensor_appended_to_a_list_is_warned_of(lines):
    reader(Net(F.relu), Tap("attr", "appended", 0))()
    assert lines == []
    read = reader(Net(), Tap("attr", "appended", 0))
    read(), read()
    (line,) = lines
    assert line.startswith(
        "c.yml:0: here: this tensor was changed in place, perhaps after forward put it into"
    )


def test_a_pass_that_fails_leaves_paddle_as_it_was():
    setter = nn.Layer.__setattr__
    model = Net()
    taps = Taps(model, "student", None, [(ATTRIBUTE, "c.yml")])
    with pytest.raises(ValueError, match="channels"):
        model(paddle.ones([1, 5, 4, 4]))
    taps.clear()
    assert nn.Layer.__setattr__ is setter
    model(IMAGES)
    np.testing.assert_array_equal(taps.read()[ATTRIBUTE].numpy(), model.body(IMAGES).numpy())
    assert nn.Layer.__setattr__ is setter


def test_a_pass_that_fails_does_not_touch_other_models():
    taps = Taps(model := Net(), "student", None, [(ATTRIBUTE, "c.yml")])
    with pytest.raises(ValueError, match="channels"):
        model(paddle.ones([1, 5, 4, 4]))
    with paddle.LazyGuard():
        nn.Conv2D(3, 4, 3)  # its weights have no values that could be copied
    taps.clear()


@pytest.mark.parametrize("in_place", [False, True])
def test_the_gradients_are_those_of_the_same_model_out_of_place(in_place):
    gradients = []
    for operation in (F.relu, F.relu_ if in_place else F.relu):
        paddle.seed(3)
        student, teacher = Net(operation), Net(operation)
        step = make_step(student, [teacher], [FeatureLoss(feature(), SHAPE, SHAPE)])
        for _ in range(2):
            student.clear_gradients()
            step(BATCH)["loss"].backward()
        gradients.append([parameter.grad.numpy() for parameter in student.parameters()])
    for expected, ours in zip(*gradients):
        np.testing.assert_array_equal(ours, expected)
