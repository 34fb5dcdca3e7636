"""Paddle converts each function of a model once, and the graph computes what the model does."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
from paddle.jit.dy2static.program_translator import FunctionCache

from paddleseg.graphs import Traced, save_graph


class Scaled(nn.Layer):
    """x by a factor, or x plus the factor."""

    def __init__(self, factor, add):
        super().__init__()
        self.factor, self.add = factor, add

    def forward(self, x):
        if self.add:
            return x + self.factor
        return x * self.factor


class Chain(nn.Layer):
    """Layers of one class that compute differently."""

    def __init__(self):
        super().__init__()
        self.parts = nn.LayerList([Scaled(2.0, False), Scaled(3.0, True), Scaled(5.0, False)])

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return x


@pytest.fixture
def converted(monkeypatch):
    """The names of the functions that Paddle converts, in order."""
    names, convert = [], FunctionCache._convert

    def recording(cache, function):
        names.append(function.__qualname__)
        return convert(cache, function)

    monkeypatch.setattr(FunctionCache, "_convert", recording)
    return names


def saved(folder):
    save_graph(Chain(), str(folder), [-1, 3, -1, -1])
    return paddle.jit.load(str(folder / "model"))


def traced(folder):
    model = Chain()
    return Traced(model.forward, model)


@pytest.mark.parametrize("graph_of", [saved, traced])
def test_layers_of_one_class_are_converted_once_and_compute_each_their_own(tmp_path, converted, graph_of):
    before = FunctionCache.convert_with_cache
    x = np.array([-1.0, 0.5, 4.0], "float32").reshape(1, 3, 1, 1)
    graph = graph_of(tmp_path)
    for images in (x, 2 * x):
        np.testing.assert_allclose(graph(paddle.to_tensor(images)).numpy(), (2 * images + 3) * 5, rtol=1e-6)
    assert converted.count("Scaled.forward") == 1
    assert FunctionCache.convert_with_cache is before
