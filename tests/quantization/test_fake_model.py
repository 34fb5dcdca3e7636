"""Fake-quantised models beside the INT8 files that are made of them, of every kind of block."""

import math

import numpy as np
import onnxruntime
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
from exporting import converts

from paddleseg.errors import UserError
from paddleseg.exporting.exporter import ExportedModel
from paddleseg.graphs import onnx_file, run_and_forget
from paddleseg.models.layers import ConvBN, ConvBNReLU
from paddleseg.quantization import qdq
from paddleseg.quantization.conv_sites import float_nodes
from paddleseg.quantization.fake_layers import FakeQuantizedConv2D
from paddleseg.quantization.fake_model import calibrate, fake_quantize, tensor_ranges

pytestmark = converts


class Blocks(nn.Layer):
    """A residual block, a concatenation, a gate, a layer that runs twice, and a head of training alone.

    And parameters of 1 x C x 1 x 1, which onnxruntime folds into the convolutions in front of them.
    """

    def __init__(self):
        super().__init__()
        self.stem = ConvBNReLU(3, 8, 3, stride=2, bias_attr=False)
        self.expand, self.project = ConvBN(8, 16, 1), ConvBN(16, 8, 1)
        self.depthwise = ConvBN(16, 16, 3, groups=16, bias_attr=False)
        self.twice = nn.Conv2D(8, 8, 3, padding=1)
        self.reflected = nn.Conv2D(8, 8, 3, padding=1, padding_mode="reflect")
        self.scaled, self.shifted = ConvBN(8, 8, 1, bias_attr=False), nn.Conv2D(8, 8, 1)
        twenty = nn.initializer.Constant(20.0)
        self.gamma, self.beta = (
            self.create_parameter([1, 8, 1, 1], default_initializer=twenty) for _ in range(2)
        )
        self.gate = nn.Conv2D(8, 8, 1)
        self.classify, self.auxiliary = nn.Conv2D(16, 3, 1), nn.Conv2D(8, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        y = x + self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        y = F.relu(self.scaled(y) * self.gamma + y)
        y = F.sigmoid(self.shifted(y) + self.beta) + y
        z = self.reflected(self.twice(self.twice(y)))
        z = z * F.sigmoid(self.gate(F.adaptive_avg_pool2d(z, 1)))
        logits = [self.classify(paddle.concat([F.max_pool2d(y, 3, 1, 1), z], axis=1))]
        return [*logits, self.auxiliary(y)] if self.training else logits


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A fake-quantised `Blocks`, its sites, float logits, images, and the logits of its INT8 file."""
    folder = tmp_path_factory.mktemp("blocks")
    paddle.seed(3)
    model, rng = Blocks(), np.random.default_rng(0)
    model.eval()
    images = paddle.to_tensor(rng.normal(size=(4, 3, 32, 32)).astype("float32"))
    exported = ExportedModel(model, "none")
    exported.eval()
    path = folder / onnx_file.write(exported, str(folder), [-1, 3, -1, -1])
    before = run_and_forget(model, images)[0].numpy()
    sites = fake_quantize(model)
    calibrate(model, [images[:2], images[2:]])
    qdq.folded(path, folder / "folded.onnx")
    in_float = float_nodes(qdq.read_onnx(folder / "folded.onnx"), sites)
    ranges = tensor_ranges(model, sites)
    qdq.write_int8(folder / "folded.onnx", folder / "int8.onnx", ranges, in_float)
    session = onnxruntime.InferenceSession(folder / "int8.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"x": images.numpy()})
    return {"model": model, "sites": sites, "images": images, "float": before, "int8": logits, **ranges}


def test_what_is_fake_quantised(case):
    layers = dict(case["model"].named_sublayers())
    changed = {name for name, layer in layers.items() if isinstance(layer, FakeQuantizedConv2D)}
    assert changed == {
        *("stem._conv", "expand._conv", "depthwise._conv", "project._conv", "gate", "classify"),
    }
    limits = {site.layer: site.limits for site in case["sites"]}
    assert limits["stem._conv"] == (0, math.inf)
    assert limits["expand._conv"] == limits["depthwise._conv"] == (0, 6)
    assert limits["project._conv"] == limits["classify"] == (-math.inf, math.inf)
    norms = {site.layer: site.norm for site in case["sites"]}
    assert norms["expand._conv"] == "expand._batch_norm"
    assert norms["classify"] is None
    # The input of a convolution that reads another one is quantised where it is computed.
    inputs = {name.split(".")[0] for name, layer in layers.items() if name.endswith("input_range")}
    assert inputs == {"stem", "gate", "classify"}


def test_logits_are_those_of_the_int8_file(case):
    with paddle.no_grad():
        logits = case["model"](case["images"])[0].numpy()
    low, high = case[case["sites"][-1].outputs[-1]]
    step = (high - low) / 255
    assert np.abs(logits - case["int8"]).max() <= 2.01 * step
    assert (np.abs(logits - case["int8"]) <= 1.01 * step).mean() > 0.99
    assert (logits.argmax(axis=1) == case["int8"].argmax(axis=1)).mean() > 0.98
    # Eight bits lose something, and not much.
    error = np.abs(logits - case["float"]).max()
    assert 0.4 * step < error < 0.1 * (high - low)


def test_all_that_is_trained_has_a_gradient(case):
    case["model"].train()
    loss = sum((logits**2).mean() for logits in case["model"](case["images"]))
    loss.backward()
    without = {
        name
        for name, tensor in case["model"].named_parameters()
        if not tensor.stop_gradient and (tensor.grad is None or not float(tensor.grad.abs().sum()) > 0)
    }
    case["model"].clear_gradients()
    assert without == set()


def test_a_model_without_a_convolution_that_serves():
    class Mirrored(nn.Layer):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2D(3, 2, 3, padding=1, padding_mode="reflect")

        def forward(self, x):
            return [self.conv(x)]

    model = Mirrored()
    model.eval()
    with pytest.raises(UserError, match="Mirrored has no convolution to quantise"):
        fake_quantize(model)


def test_activations_that_are_not_finite(case):
    with pytest.raises(UserError, match="the activations at stem._conv.input_range are not finite"):
        calibrate(case["model"], [paddle.full([1, 3, 32, 32], float("nan"))])
