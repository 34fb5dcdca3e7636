"""Half-precision ONNX files: what they keep of the float ones, and what their form is."""

import shutil

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from exporting import converts

from paddleseg.graphs import onnx_file, open_session

pytestmark = converts


class Resized(paddle.nn.Layer):
    """A convolution and a resize to the size of the input, as models of this package end."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 8, 3, stride=2, padding=1)

    def forward(self, x):
        return F.interpolate(F.relu(self.conv(x)), paddle.shape(x)[2:], mode="bilinear")


@pytest.mark.parametrize("opset", [12, 17])  # a Resize needs scales below 13
def test_a_half_file_gives_the_numbers_of_the_float_file(tmp_path, opset):
    import onnx

    from paddleseg.graphs.onnx_fp16 import to_fp16

    paddle.seed(0)
    layer = Resized()
    layer.eval()
    single = tmp_path / onnx_file.write(layer, str(tmp_path), [-1, 3, -1, -1], opset)
    half = tmp_path / "half.onnx"
    shutil.copy(single, half)
    to_fp16(str(half))
    image = np.random.default_rng(0).standard_normal((2, 3, 33, 20)).astype("float32")
    single, session = open_session(single), open_session(half)
    (name,) = (one.name for one in session.get_inputs())
    expected, output = (one.run(None, {name: image})[0] for one in (single, session))
    assert output.dtype == "float32"
    # float16 has 11 bits; a difference of 0 would mean that nothing was converted.
    assert 0 < np.abs(output - expected).max() < 4 * 2**-11 * np.abs(expected).max()

    model = onnx.load(half)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == opset
    weights = [w for w in model.graph.initializer if len(w.dims) == 4]
    weights += [n.attribute[0].t for n in model.graph.node if n.op_type == "Constant"]
    assert {w.data_type for w in weights if len(w.dims) == 4} == {onnx.TensorProto.FLOAT16}
