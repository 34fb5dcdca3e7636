"""The factorisation of `NMF2D` equals the updates of Lee and Seung in NumPy."""

import numpy as np
import paddle
import pytest
from numpy_layers import softmax

from paddleseg.models.layers import NMF2D

X = np.random.default_rng(7).random([2, 6, 4, 5]).astype("float32")


def approximation(matrix, bases, steps):
    """Return the approximation of D x N by bases D x R after some updates, of codes and bases by turns."""
    codes = softmax(matrix.T @ bases)
    for _ in range(steps):
        codes = codes * (matrix.T @ bases) / (codes @ (bases.T @ bases) + 1e-6)
        bases = bases * (matrix @ codes) / (bases @ (codes.T @ codes) + 1e-6)
    codes = codes * (matrix.T @ bases) / (codes @ (bases.T @ bases) + 1e-6)
    return bases @ codes.T


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_updates(training, spatial):
    settings = {"MD_R": 3, "TRAIN_STEPS": 2, "EVAL_STEPS": 5, "RAND_INIT": False, "SPATIAL": spatial}
    layer = NMF2D(settings)
    layer.train() if training else layer.eval()
    result = layer(paddle.to_tensor(X)).numpy()
    bases = layer.bases.numpy()[0].astype(np.float64)
    for sample, approximated in zip(X.astype(np.float64), result):
        matrix = sample.reshape(6, 20)
        expected = approximation(matrix if spatial else matrix.T, bases, 2 if training else 5)
        expected = expected if spatial else expected.T
        np.testing.assert_allclose(approximated, expected.reshape(6, 4, 5), atol=1e-5)


def test_more_updates_come_nearer_and_groups_are_separate():
    x = paddle.to_tensor(X)

    def distance(**settings):
        paddle.seed(1)
        layer = NMF2D({"MD_R": 2, "TRAIN_STEPS": 1, **settings})
        return float((layer(x) - x).square().mean())

    assert distance(TRAIN_STEPS=50) < distance(TRAIN_STEPS=1)
    assert distance(TRAIN_STEPS=50, MD_S=3) < distance(TRAIN_STEPS=50)


def test_settings_must_be_a_dict():
    with pytest.raises(TypeError, match="must be a dict, not 64"):
        NMF2D(64)
