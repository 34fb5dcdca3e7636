"""The maximum over one axis and its gradient, against NumPy."""

import numpy as np
import paddle
import pytest

from paddleseg.models.layers.maximum import maximum


@pytest.mark.parametrize("axis", [1, -1])
def test_equal_maxima_share_the_gradient(axis):
    # Whole numbers below 3 have many ties.
    values = np.random.RandomState(0).randint(0, 3, (2, 5, 4, 3)).astype("float32")
    x = paddle.to_tensor(values, stop_gradient=False)
    highest = maximum(x, axis)
    weights = np.random.RandomState(1).rand(*highest.shape).astype("float32")
    (highest * paddle.to_tensor(weights)).sum().backward()

    expected = values.max(axis=axis, keepdims=True)
    np.testing.assert_array_equal(highest.numpy(), expected)
    equal = values == expected
    shared = equal * (weights / equal.sum(axis=axis, keepdims=True))
    np.testing.assert_allclose(x.grad.numpy(), shared, rtol=1e-6)


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 gives each maximum the whole")
def test_gradient_is_paddles_own():
    values = np.random.RandomState(0).randint(0, 3, (2, 5, 4, 3)).astype("float32")
    gradients = []
    for function in (lambda x: maximum(x, 1), lambda x: paddle.max(x, axis=1, keepdim=True)):
        x = paddle.to_tensor(values, stop_gradient=False)
        function(x).square().sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-6)


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
