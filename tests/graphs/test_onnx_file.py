"""What is missing for an ONNX file, and the operations that cannot be converted."""

import subprocess
import sys

import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
from exporting import converts

from paddleseg.errors import UserError
from paddleseg.graphs import onnx_file


@pytest.fixture(autouse=True)
def _own_process(monkeypatch):
    """Convert in a process of its own, as users do, and not in a fork as other tests."""
    monkeypatch.setattr(onnx_file, "subprocess", subprocess)


@converts
def test_a_layer_becomes_a_file_and_nothing_is_printed(tmp_path, capfd):
    import onnxruntime

    layer = nn.Sequential(nn.Conv2D(3, 2, 3), nn.ReLU())
    layer.eval()
    path = tmp_path / onnx_file.write(layer, str(tmp_path), [-1, 3, -1, -1])
    assert capfd.readouterr().out == ""
    session = onnxruntime.InferenceSession(str(path))
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 9)).astype("float32")
    (given,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(given, layer(paddle.to_tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


class OwnNames(nn.Layer):
    """A user's layer that has imported a function by its name."""

    def __init__(self, function, *arguments):
        super().__init__()
        self.function, self.arguments = function, arguments

    def forward(self, x):
        return self.function(x, *self.arguments)


@converts
@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (F.leaky_relu, 0.3, "loses the slope of leaky_relu, .* call paddle.nn.functional.leaky_relu, "),
        (F.leaky_relu_, 0.3, "loses the slope of leaky_relu, .*: the model calls leaky_relu_, or has"),
        (F.adaptive_avg_pool2d, 3, "paddle2onnx cannot convert this model: .*Adaptive only support static"),
    ],
)
def test_functions_that_cannot_be_replaced_are_refused(tmp_path, function, argument, message):
    with pytest.raises(UserError, match=message):
        onnx_file.write(OwnNames(function, argument), str(tmp_path), [-1, 3, -1, -1])


def test_paddle_2_is_refused(monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(UserError, match="^format onnx needs Paddle 3, and this is 2.6.2"):
        onnx_file.check_installed()


def test_a_missing_converter_is_named(monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "3.3.1")
    monkeypatch.setitem(sys.modules, "onnxruntime", sys)
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(UserError, match="paddle2onnx is not installed: pip install paddle2onnx"):
        onnx_file.check_installed()
