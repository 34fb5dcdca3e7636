"""The maximum over one axis and its gradient, against NumPy."""

import numpy as np
import paddle
import pytest

from paddleseg.models.layers.maximum import maximum


@pytest.mark.parametrize("axis", [1, -1])
def test_each_of_equal_maxima_receives_the_whole_gradient(axis):
    # Whole numbers below 3 have many ties.
    values = np.random.RandomState(0).randint(0, 3, (2, 5, 4, 3)).astype("float32")
    x = paddle.to_tensor(values, stop_gradient=False)
    highest = maximum(x, axis)
    weights = np.random.RandomState(1).rand(*highest.shape).astype("float32")
    (highest * paddle.to_tensor(weights)).sum().backward()

    expected = values.max(axis=axis, keepdims=True)
    np.testing.assert_array_equal(highest.numpy(), expected)
    np.testing.assert_array_equal(x.grad.numpy(), (values == expected) * weights)


class Highest(paddle.nn.Layer):
    def forward(self, x):
        return maximum(x, 1)


def test_traced_model_has_paddles_operation():
    spec = paddle.static.InputSpec([1, 3, 4, 4], "float32")
    traced = paddle.jit.to_static(Highest(), input_spec=[spec], full_graph=True)
    x = paddle.rand([1, 3, 4, 4])
    np.testing.assert_array_equal(traced(x).numpy(), x.numpy().max(axis=1, keepdims=True))
    program = str(traced.forward.concrete_program.main_program)
    assert "max" in program
    assert "py_layer" not in program
