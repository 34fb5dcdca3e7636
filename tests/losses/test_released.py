"""The task losses against figures of PaddleSeg 2.8.0, made by `tests/golden/released_training.py`."""

import json
import pathlib

import numpy as np
import pytest
from loss_reference import loss_and_gradient, tensor, wave

from paddleseg import losses

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
CASES = json.loads((GOLDEN / "losses.json").read_text())


@pytest.fixture(scope="module")
def figures():
    return np.load(GOLDEN / "losses.npz")


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: f"{CASES[i]['type']}-{CASES[i]['params']}")
def test_equals_paddleseg(figures, index):
    case = CASES[index]
    params, tolerance = dict(case["params"]), 1e-6
    if case["type"] == "OhemCrossEntropyLoss":
        # Released, the divisor is larger by 1e-5 of all pixels, and min_kept stands for one less.
        tolerance = 1e-4
        if params.get("min_kept", 0) > 3:
            params["min_kept"] -= 1
    label = tensor(figures[f"{index}_label"])
    loss = getattr(losses, case["type"])(**params)
    value, gradient = loss_and_gradient(lambda x: loss(x, label), wave(case["shape"], 0.7, 3.0))
    np.testing.assert_allclose(value, figures[f"{index}_value"], rtol=tolerance)
    expected = figures[f"{index}_gradient"]
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
