"""Bilinear resizing against NumPy in float64, and what is left to Paddle."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddleseg import onednn
from paddleseg.models.layers.interpolate import LONGEST, interpolate
from paddleseg.onednn import library

SIZES = [
    ((5, 7), (11, 13)),
    ((8, 6), (16, 24)),
    ((9, 12), (4, 5)),
    ((1, 1), (3, 4)),
    ((6, 2), (6, 2)),
]
needs_onednn = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)


@pytest.fixture(autouse=True)
def _onednn():
    """Let the products compute in each test that can."""
    if library.why_not() is None:
        onednn.use_engine("onednn")
    yield
    onednn.use_engine("auto")


def resized(values, axis, length, align_corners):
    """Return an array, resized linearly along an axis: each number lies in the middle of its pixel."""
    before = values.shape[axis]
    places = np.arange(length, dtype=float)
    if align_corners:
        places *= (before - 1) / max(length - 1, 1)
    else:
        places = np.clip((places + 0.5) * before / length - 0.5, 0, before - 1)
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(before), line), axis, values)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_values_and_gradients(before, after, align_corners):
    rng = np.random.default_rng(0)
    values, weights = rng.standard_normal((2, 3, *before)), rng.standard_normal((2, 3, *after))
    x = paddle.to_tensor(values.astype("float32"), stop_gradient=False)

    y = interpolate(x, after, align_corners=align_corners)
    (y * paddle.to_tensor(weights.astype("float32"))).sum().backward()

    expected = resized(resized(values, 2, after[0], align_corners), 3, after[1], align_corners)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    # The gradient is the transposed map: <resized(e), w> of each unit array e.
    unit = np.eye(before[0] * before[1]).reshape(-1, *before)
    one_pixel = resized(resized(unit, 1, after[0], align_corners), 2, after[1], align_corners)
    gradient = np.einsum("phw,nchw->ncp", one_pixel, weights).reshape(values.shape)
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["engine", "mode", "double", "longest", "shrinks"])
def test_paddle_computes_the_rest(case):
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype("float32"))
    mode = "bicubic" if case == "mode" else "bilinear"
    if case == "engine":
        onednn.use_engine("paddle")
    if case == "double":
        x = x.astype("float64")
    if case == "shrinks":
        x = paddle.tile(x, [1, 1, 2, 2])
    if case == "longest":
        x = paddle.tile(x, [1, 1, 1, LONGEST])
    np.testing.assert_array_equal(interpolate(x, (7, 9), mode=mode), F.interpolate(x, (7, 9), mode=mode))


@pytest.mark.parametrize("size", [(16, 16, 3), (0, 5), (16,), (-1, 4)])
def test_paddle_answers_wrong_sizes(size):
    x = paddle.ones([1, 2, 4, 4])
    with pytest.raises((ValueError, IndexError, AssertionError)) as paddles:
        F.interpolate(x, size, mode="bilinear")
    with pytest.raises(type(paddles.value)):
        interpolate(x, size)


@needs_onednn
def test_a_resized_number_depends_on_its_image_alone():
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal((5, 3, 15, 17)).astype("float32"))
    alone = paddle.concat([interpolate(x[k : k + 1], (30, 40)) for k in range(5)])
    np.testing.assert_array_equal(interpolate(x, (30, 40)), alone)


def test_a_static_graph_has_paddles_operator():
    class Resize(paddle.nn.Layer):
        def forward(self, x):
            return interpolate(x, [8, 8])

    spec = [paddle.static.InputSpec([1, 2, 4, 4], "float32")]
    layer = paddle.jit.to_static(Resize(), input_spec=spec, full_graph=True)
    assert "interp" in str(layer.forward.concrete_program.main_program)
