"""A small ONNX file: convolution of 1 x 1, batch norm, ReLU, convolution; and onnxruntime to run it."""

import numpy as np


def float_file(path, output="logits"):
    """Write the float file and return its path; it maps N x 3 x H x W to N x 2 x H x W."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(4)
    values = {
        "first": rng.normal(size=(8, 3, 1, 1)) * rng.uniform(0.1, 2, (8, 1, 1, 1)),
        "scale": rng.uniform(0.5, 1.5, 8),
        "shift": rng.normal(size=8),
        "mean": rng.normal(size=8),
        "variance": rng.uniform(0.5, 2, 8),
        "second": rng.normal(size=(2, 8, 1, 1)) / 3,
        "bias": rng.normal(size=2),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["raw"], "Conv.0"),
        helper.make_node("BatchNormalization", ["raw", *list(values)[1:5]], ["normed"], "Norm.0"),
        helper.make_node("Relu", ["normed"], ["active"], "Relu.0"),
        helper.make_node("Conv", ["active", "second", "bias"], [output], "Conv.1"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def image(seed=0):
    """Return an image, float32 1 x 3 x 16 x 24."""
    return np.random.default_rng(seed).standard_normal((1, 3, 16, 24)).astype(np.float32)


def run(path, batch):
    """Return a file's first output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]
