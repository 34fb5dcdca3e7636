"""Where an ONNX file computes the convolutions of a model, and what its file in integers quantises."""

import math
from typing import NamedTuple, Optional, Tuple

import paddle.nn as nn

from paddleseg import onednn


class ConvSite(NamedTuple):
    """A convolution of a model in its ONNX file, of which `qdq.folded` has made one without batch norms.

    Attributes:
        node: name of the node; it and the tensors have the same names in every export of the model.
        layer: name of the `nn.Conv2D`.
        norm: name of the batch norm that reads its output and nothing else does; None for none.
        source: name of the input tensor.
        outputs: names of the output tensors: the folded convolution's, then the ReLU's if one follows.
        limits: (low, high) that the ReLU lets through; infinite ones without a ReLU.
    """

    node: str
    layer: str
    norm: Optional[str]
    source: str
    outputs: Tuple[str, ...]
    limits: Tuple[float, float]


def conv_sites(exported, folded, model):
    """Return the `ConvSite` of each convolution that can be fake-quantised.

    Those are layers that run once in a pass, as their batch norms do, and pad with zeros in NCHW. The folded
    convolution may be the layer and its batch norm, and nothing else: onnxruntime also folds the product or
    sum with a parameter of 1 x C x 1 x 1 behind it, which `FakeQuantizedConv2D` would not compute.

    Args:
        exported, folded: the model's ONNX file and what `qdq.folded` has made of it, as `onnx.ModelProto`.
        model: the layer.
    """
    layers = {p.name: name.rpartition(".")[0] for name, p in model.named_parameters()}
    sublayers = dict(model.named_sublayers())
    weights = {node.name: node.input[1] for node in exported.graph.node if node.op_type == "Conv"}
    runs = [node.input[1] for node in exported.graph.node if node.op_type in ("Conv", "BatchNormalization")]
    made = {name: node for node in exported.graph.node for name in node.output}
    sites = []
    for node in folded.graph.node:
        weight = weights.get(node.name)
        layer = layers.get(weight)
        if runs.count(weight) != 1 or not _fits(sublayers.get(layer)):
            continue
        conv, factor = _conv_and_norm(made, node.output[0], sublayers[layer].bias)
        norm = layers.get(factor)
        if conv is None or conv.name != node.name:
            continue
        if factor is not None and (norm is None or runs.count(factor) != 1):
            continue
        outputs, limits = _activation(folded.graph, node.output[0])
        sites.append(ConvSite(node.name, layer, norm, node.input[0], outputs, limits))
    return sites


def float_nodes(folded, sites):
    """Return the names of the nodes that stay in float: all but the convolutions of `sites` and their ReLUs.

    Args:
        folded: as in `conv_sites`, of the same model or of its export with other weights.
        sites: list of `ConvSite`.
    """
    outputs = {name for site in sites for name in site.outputs}
    return [node.name for node in folded.graph.node if outputs.isdisjoint(node.output)]


def _fits(layer):
    plain = type(layer) in (nn.Conv2D, onednn.Conv2D)
    return plain and layer._padding_mode == "zeros" and layer._data_format == "NCHW"


def _conv_and_norm(made, name, bias):
    """Return the node behind which a tensor is computed, and the name of the factor of a batch norm between.

    Args:
        made: {tensor: the node that computes it} of an exported graph.
        name: of the tensor.
        bias: the convolution's parameter, whose addition is a node of its own; None for none.

    Returns:
        (node, factor); without a batch norm, the factor is None. The node is None for an input of the graph.
    """
    node, factor = _maker(made, name), None
    if node is not None and node.op_type == "BatchNormalization":
        node, factor = _maker(made, node.input[0]), node.input[1]
    if node is not None and node.op_type == "Add" and bias is not None:
        added = _maker(made, node.input[1])
        if added is not None and added.op_type == "Reshape" and added.input[0] == bias.name:
            node = _maker(made, node.input[0])
    return node, factor


def _maker(made, name):
    """Return the node that computes a tensor, copies aside; None for an input of the graph."""
    node = made.get(name)
    while node is not None and node.op_type == "Identity":
        node = made.get(node.input[0])
    return node


def _activation(graph, name):
    """Return the names of a convolution's output and, if a ReLU or ReLU6 alone reads it, of its output.

    And the limits that it sets, (low, high).
    """
    free = (name,), (-math.inf, math.inf)
    readers = [node for node in graph.node if name in node.input]
    if len(readers) != 1 or any(name == output.name for output in graph.output):
        return free
    (reader,) = readers
    if reader.op_type == "Relu":
        return (name, reader.output[0]), (0.0, math.inf)
    if reader.op_type == "Clip":
        low, high = (_number(graph, end) for end in reader.input[1:3])
        if low == 0 and high is not None:
            return (name, reader.output[0]), (low, high)
    return free


def _number(graph, name):
    from onnx import numpy_helper

    for constant in graph.initializer:
        if constant.name == name:
            return float(numpy_helper.to_array(constant))
    return None
