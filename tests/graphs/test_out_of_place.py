"""Models with in-place operations, which static graphs run out of place."""

import warnings

import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest

from paddleseg.errors import UserError
from paddleseg.graphs import Traced, save_graph


class InPlace(nn.Layer):
    """A convolution, and an operation whose result `forward` drops or goes on with."""

    def __init__(self, operation, goes_on):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, 4, 3, padding=1), nn.BatchNorm2D(4), nn.Dropout(0.5))
        self.operation = operation
        self.goes_on = goes_on

    def forward(self, x):
        y = self.body(x)
        self.kept = y
        if self.goes_on:
            y = self.operation(y)
        else:
            self.operation(y)
        return [y]

    def run(self, x):
        return self(x)


OPERATIONS = {"relu_": F.relu_, "add_": lambda y: y.add_(paddle.ones([1])), "clip_": lambda y: y.clip_(0, 1)}
IMAGES = paddle.to_tensor(np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype("float32"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_training_in_a_graph_refuses_what_the_graph_would_drop(name):
    model = InPlace(OPERATIONS[name], goes_on=False)
    with pytest.raises(
        UserError, match=f"^InPlace computes something else as a static graph: there {name} ret"
    ):
        Traced(model.run, model)(IMAGES)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_training_in_a_graph_takes_models_that_go_on_with_the_result(name):
    model = InPlace(OPERATIONS[name], goes_on=True)
    traced = Traced(model.run, model)
    for images in (IMAGES, 2 * IMAGES):
        (output,) = traced(images)
        assert output.shape == [2, 4, 8, 8]
    assert all(layer.training for layer in model.sublayers(include_self=True))
    model.eval()
    np.testing.assert_allclose(model(IMAGES)[0].numpy(), traced(IMAGES)[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_function_may_be_of_another_layer_that_stays_in_training_mode(goes_on):
    class Outer(nn.Layer):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def run(self, x):
            return self.model(x)

    model = InPlace(F.relu_, goes_on)
    traced = Traced(Outer(model).run, model)
    if goes_on:
        assert traced(IMAGES)[0].shape == [2, 4, 8, 8]
    else:
        with pytest.raises(UserError, match="there relu_ returns"):
            traced(IMAGES)


@pytest.mark.parametrize("shape", [[-1, 3, -1, -1], [1, 3, 16, 16]])
def test_an_export_refuses_what_the_graph_would_drop(tmp_path, shape):
    for goes_on in (True, False):
        model = InPlace(F.relu_, goes_on)
        model.eval()
        if goes_on:
            save_graph(model, str(tmp_path), shape)
            continue
        with pytest.raises(
            UserError, match="^InPlace computes something else as a static graph: there relu_"
        ):
            save_graph(model, str(tmp_path), shape)


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 cannot trace a call of super()")
def test_a_model_that_overwrites_its_images_is_tried_on_a_copy(tmp_path):
    class OfImages(InPlace):
        def forward(self, x):
            return super().forward(x.scale_(2.0))

    model = OfImages(F.relu_, goes_on=True)
    images = IMAGES.clone()
    Traced(model.run, model)(images)
    np.testing.assert_array_equal(images.numpy(), IMAGES.numpy())
    model.eval()
    save_graph(model, str(tmp_path), [-1, 3, -1, -1])


def test_other_warnings_are_still_shown():
    class Warning_(InPlace):
        def run(self, x):
            warnings.warn("of the model", stacklevel=1)
            return self(x)

    model = Warning_(F.relu_, goes_on=True)
    with pytest.warns(UserWarning, match="of the model"):
        Traced(model.run, model)(IMAGES)
