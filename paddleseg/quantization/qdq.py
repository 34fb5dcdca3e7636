"""Write INT8 ONNX files in QDQ form: the nodes of a float graph, between QuantizeLinear and DequantizeLinear.

`folded` makes the float file that both calibration and `write_int8` take. It names its tensors and nodes as
the file that it was made of, but batch norms are part of the convolutions.
"""

import contextlib
import logging
import math

from paddleseg.errors import UserError, counted, one_line, suggestion

# What is computed in integers. All other operations compute in float; a softmax, for one, would lose much.
OPERATIONS = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # they have weights, and cost nearly all of the time
ELEMENTWISE = ("Add", "Mul")
_FLOAT = 1  # onnx.TensorProto.FLOAT
_INSTALL = "pip install 'onnx' 'onnxruntime' 'ml_dtypes<0.5'"


def check_installed(option="quantisation"):
    """Check that the libraries are installed.

    Args:
        option: what needs them, for messages.

    Raises:
        UserError: a library is missing; the message says what to install.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        raise UserError(f"{option}: {error.name} is not installed: {_INSTALL}") from None


def folded(source, target):
    """Write a float ONNX file with batch norms and constants folded, and with the types of all tensors.

    Args:
        source: a float ONNX file.
        target: where the result goes.

    Raises:
        UserError: onnxruntime cannot load `source`.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        model = onnx.load(target)
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"  # onnxruntime leaves some without a name
        onnx.save(onnx.shape_inference.infer_shapes(model), target)
    except Exception as error:  # both libraries have their own classes
        raise UserError(f"{source} cannot be read as an ONNX file: {one_line(error)[-300:]}") from error


def read_onnx(path):
    """Return the `onnx.ModelProto` of a file.

    Raises:
        UserError: it is missing, or no ONNX file.
    """
    import onnx

    try:
        return onnx.load(path)
    except Exception as error:  # of onnx, of protobuf, or of the system
        raise UserError(f"{path} cannot be read as an ONNX file: {one_line(error)[-300:]}") from error


def integer_nodes(graph, float_nodes=()):
    """Return the nodes that compute in integers, in the order of the graph.

    They are the nodes of `OPERATIONS` with weights, and those between them. In float stay a product of two
    activations, as in attention; the sum or product of an activation and a constant, a part of a norm or of
    GELU, which onnxruntime computes as a whole; and what follows the last layer with weights, since the
    resizing of 8-bit logits would make many classes equal.

    Args:
        graph: an `onnx.GraphProto`.
        float_nodes: names of nodes that stay in float. Default none.
    """
    weights = {weight.name for weight in graph.initializer}
    needed = _inputs_of_layers(graph, weights)
    chosen, made = [], set()  # the nodes, and the tensors that they make
    for node in graph.node:
        if node.op_type not in OPERATIONS or node.name in float_nodes:
            continue
        if node.op_type in WEIGHTED:
            fits = node.input[1] in weights
        else:
            fits = not made.isdisjoint(node.input) and not needed.isdisjoint(node.output)
            fits &= node.op_type not in ELEMENTWISE or weights.isdisjoint(node.input)
        if fits:
            chosen.append(node)
            made.update(node.output)
    return chosen


def _inputs_of_layers(graph, weights):
    """Return the tensors from which a layer with weights is computed, directly or not."""
    needed = set()
    for node in reversed(graph.node):
        is_layer = node.op_type in WEIGHTED and node.input[1] in weights
        if is_layer or not needed.isdisjoint(node.output):
            needed.update(node.input)
    return needed


def activations(path, float_nodes=()):
    """Return the names of the tensors for which `write_int8` needs a range, sorted.

    They are the float inputs and outputs, weights aside, of the nodes that will compute in integers.

    Args:
        path: a file of `folded`.
        float_nodes: names of nodes that stay in float. Default none.
    """
    graph = read_onnx(path).graph
    known = [*graph.value_info, *graph.input, *graph.output]
    floats = {value.name for value in known if value.type.tensor_type.elem_type == _FLOAT}
    names = {name for node in integer_nodes(graph, float_nodes) for name in (*node.input, *node.output)}
    return sorted(names & floats - {weight.name for weight in graph.initializer})


def write_int8(source, target, ranges, float_nodes=()):
    """Write the INT8 file of a float file.

    Weights are int8, symmetric, with a scale for each output channel: the largest absolute weight / 127.
    Activations are uint8 with a zero point, as processors with VNNI multiply them; their scale is
    (high - low) / 255, after the range was widened to hold 0. Biases are int32. A ReLU behind a node in
    integers becomes the lower end of that node's range.

    Args:
        source: a file of `folded`.
        target: where the INT8 file goes.
        ranges: {tensor: (low, high)} of at least all `activations`, from `calibrate` or from a training.
        float_nodes: names of nodes that stay in float. Default none.

    Raises:
        UserError: `source` lacks a tensor of `ranges` or a node of `float_nodes`, `ranges` lacks a tensor
            that is needed, or a range is no range.
    """
    import numpy as np
    from onnxruntime import quantization as q
    from onnxruntime.quantization.calibrate import TensorData, TensorsData

    model = read_onnx(source)
    _check(model.graph, ranges, activations(source, float_nodes), float_nodes, source)
    ends = {name: TensorData(lowest=np.float32(r[0]), highest=np.float32(r[1])) for name, r in ranges.items()}
    with _quiet():
        quantizer = q.QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=q.QuantType.QInt8,
            activation_qType=q.QuantType.QUInt8,
            tensors_range=TensorsData(q.CalibrationMethod.MinMax, ends),
            nodes_to_quantize=[node.name for node in integer_nodes(model.graph, float_nodes)],
            nodes_to_exclude=[],
            op_types_to_quantize=list(OPERATIONS),
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(str(target))


def _check(graph, ranges, needed, float_nodes, path):
    """Raise `UserError` if ranges or float nodes do not belong to a graph, or if a range is none."""
    tensors = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    for what, given, known in (
        ("tensor", ranges, tensors),
        ("node", float_nodes, {node.name for node in graph.node}),
    ):
        for name in given:
            if name not in known:
                raise UserError(f"{path} has no {what} {name!r}; {suggestion(name, known)}")
    missing = [name for name in needed if name not in ranges]
    if missing:
        raise UserError(
            f"{path}: no range is given for {counted(len(missing), 'tensor')}, such as {missing[0]!r}"
        )
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UserError(
                f"{path}: the range of {name!r} must be two finite numbers, low and high, not {low}, {high}"
            )


@contextlib.contextmanager
def _quiet():
    """Drop what onnxruntime logs while it quantises: advice to preprocess, which `folded` has done."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
