"""paddleseg/quantization/qdq.py: folding, ranges, and INT8 files against NumPy."""

import sys

import numpy as np
import pytest
from onnx_models import float_file, image, run

from paddleseg.errors import UserError
from paddleseg.quantization import qdq

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization", reason="needs ml_dtypes below 0.5")
RANGES = {"x": (-4.0, 4.0), "normed": (-2.0, 6.0), "active": (0.0, 6.0), "logits": (-5.0, 5.0)}


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qdq")
    qdq.folded(float_file(folder / "float.onnx"), folder / "folded.onnx")
    return folder / "folded.onnx"


def quantized(values, low, high, levels=255):
    """Return values rounded to the steps of a range, as 8 bits hold them."""
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / levels
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(values / scale) + zero, 0, levels) - zero) * scale


def weights_of(path):
    return {weight.name: onnx.numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer}


def nodes_of(path):
    return {node.name: node for node in onnx.load(path).graph.node}


def test_folding_leaves_the_result_and_no_batch_norm(folded):
    source = folded.with_name("float.onnx")
    np.testing.assert_allclose(run(folded, image()), run(source, image()), rtol=1e-5, atol=1e-5)
    assert {node.op_type for node in nodes_of(folded).values()} == {"Conv", "Relu"}
    assert qdq.activations(folded) == sorted(RANGES)


def test_an_int8_file_computes_what_numpy_does(folded, tmp_path):
    qdq.write_int8(folded, tmp_path / "int8.onnx", RANGES)
    (first, first_bias), (second, second_bias) = (
        [weights_of(folded)[name] for name in node.input[1:]]
        for node in nodes_of(folded).values()
        if node.op_type == "Conv"
    )

    def per_channel(weights):
        scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
        return np.rint(weights / scale) * scale

    def conv(x, weights, bias):  # of 1 x 1
        return np.einsum("oi,nihw->nohw", weights[..., 0, 0], x) + bias.reshape(1, -1, 1, 1)

    x = quantized(image(), *RANGES["x"])
    x = quantized(conv(x, per_channel(first), first_bias), *RANGES["active"])  # cuts at 0, as the ReLU
    x = quantized(conv(x, per_channel(second), second_bias), *RANGES["logits"])
    step = 10 / 255
    difference = np.abs(run(tmp_path / "int8.onnx", image()) - x)
    assert difference.max() <= 1.01 * step  # of float32 and float64, one rounds up and one down
    assert np.mean(difference > 1e-5) < 0.02
    assert np.abs(run(folded, image()) - x).max() > step  # so NumPy's steps do matter


def test_nodes_in_float_keep_their_weights(folded, tmp_path):
    last = [name for name, node in nodes_of(folded).items() if node.op_type == "Conv"][-1]
    qdq.write_int8(folded, tmp_path / "int8.onnx", RANGES, float_nodes=[last])
    kinds = sorted(
        str(weight.dtype) for weight in weights_of(tmp_path / "int8.onnx").values() if weight.ndim == 4
    )
    assert kinds == ["float32", "int8"]
    assert qdq.activations(folded, [last]) == ["active", "normed", "x"]


@pytest.mark.parametrize(
    ("ranges", "float_nodes", "message"),
    [
        ({**RANGES, "activ": (0, 1)}, (), r"has no tensor 'activ'; did you mean 'active'\?"),
        (RANGES, ["Conf"], "has no node 'Conf'; did you mean"),
        ({"x": (0, 1)}, (), "no range is given for 3 tensors, such as 'active'"),
        ({**RANGES, "x": (1, -1)}, (), "range of 'x' must be two finite numbers, low and high, not 1, -1"),
        ({**RANGES, "x": (0, float("nan"))}, (), "range of 'x' must be two finite numbers"),
    ],
)
def test_ranges_of_another_file_are_refused(folded, tmp_path, ranges, float_nodes, message):
    with pytest.raises(UserError, match=message):
        qdq.write_int8(folded, tmp_path / "int8.onnx", ranges, float_nodes)
    assert not (tmp_path / "int8.onnx").exists()


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"a.onnx cannot be read as an ONNX file"):
        qdq.folded(tmp_path / "a.onnx", tmp_path / "b.onnx")
    with pytest.raises(UserError, match=r"a.onnx cannot be read as an ONNX file"):
        qdq.activations(tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"c.onnx cannot be read as an ONNX file"):
        qdq.activations(tmp_path / "c.onnx")


def test_a_missing_library_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(UserError, match=r"quantisation: \S+ is not installed: pip install .*'ml_dtypes<0.5'"):
        qdq.check_installed()


def test_what_integers_would_spoil_stays_in_float():
    node = onnx.helper.make_node
    weights = ["w", "u", "v", "gamma"]
    nodes = [
        node("Conv", ["x", "w"], ["a"], "layer"),
        node("Conv", ["a", "u"], ["b"], "another layer"),
        node("Add", ["a", "b"], ["sum"], "residual sum"),
        node("Mul", ["sum", "gamma"], ["scaled"], "factor of a norm"),
        node("MatMul", ["scaled", "sum"], ["weighed"], "product of attention"),
        node("Reshape", ["weighed", "shape"], ["flat"], "reshape of floats"),
        node("MatMul", ["flat", "v"], ["logits"], "linear layer"),
        node("Resize", ["logits", "", "", "size"], ["y"], "behind the last layer"),
    ]
    empty = [onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [0], []) for name in weights]
    graph = onnx.helper.make_graph(nodes, "g", [], [], empty)
    names = ["layer", "another layer", "residual sum", "linear layer"]
    assert [one.name for one in qdq.integer_nodes(graph)] == names
    # Without the layer that they follow, operations stay in float too.
    assert [one.name for one in qdq.integer_nodes(graph, ["layer", "another layer"])] == ["linear layer"]
