"""Turn an ONNX file into one of half precision."""

_OPTIONAL_SCALES = 13  # the operator set from which a Resize may have sizes alone


def to_fp16(path):
    """Rewrite an ONNX file with weights and operations in float16; inputs and outputs stay float32.

    onnxruntime's converter leaves the few operations in float32 that have no float16 form.

    Args:
        path: a file of `onnx_file.write`.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(path)
    if model.opset_import[0].version >= _OPTIONAL_SCALES:
        _drop_empty_scales(model.graph)
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    half.topological_sort()  # the converter puts its casts at the end, which the ONNX format forbids
    onnx.save(half.model, path)


def _drop_empty_scales(graph):
    """Leave the empty scales of a Resize out.

    paddle2onnx gives a Resize its sizes, and empty constants for scales and region. The converter would put
    a cast behind the constant, and onnxruntime then refuses a Resize with both sizes and scales.
    """
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            node.input[1] = node.input[2] = ""
