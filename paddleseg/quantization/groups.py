"""The layers of an ONNX file in groups, by the names that the Paddle model gives them."""

import dataclasses
from typing import List

from paddleseg.quantization.qdq import WEIGHTED, integer_nodes, read_onnx

DEPTH = 2  # of the dotted names that make a group: `backbone.bb_0_0`, `head.aspp`


@dataclasses.dataclass
class Group:
    """Layers that are left in float together.

    Attributes:
        layers: dotted names of its layers with weights.
        nodes: names of its nodes in the ONNX file, with those behind these layers, such as additions.
    """

    layers: List[str] = dataclasses.field(default_factory=list)
    nodes: List[str] = dataclasses.field(default_factory=list)


def layer_names(model):
    """Return {name of a weight in a static graph: dotted name of the layer} of a `paddle.nn.Layer`."""
    return {weight.name: name.rpartition(".")[0] or name for name, weight in model.named_parameters()}


def groups(path, names):
    """Return {name: Group} of all nodes that can compute in integers, in the order of the graph.

    A node without weights belongs to the layer that its input comes from.

    Args:
        path: a file of `qdq.folded`.
        names: what `layer_names` returns for the model that the file was made of.
    """
    graph = read_onnx(path).graph
    found, group_of = {}, {}  # the group of each tensor
    for node in integer_nodes(graph):
        if node.op_type in WEIGHTED:
            layer = _layer(node, names)
            key = ".".join(layer.split(".")[:DEPTH])
            found.setdefault(key, Group()).layers.append(layer)
        else:
            # Before the first layer, a node belongs to the group that comes next.
            key = next((group_of[name] for name in node.input if name in group_of), None)
        group_of.update({name: key for name in node.output if key is not None})
        if key is not None:
            found[key].nodes.append(node.name)
    return found


def _layer(node, names):
    """Return the layer of a node: its weight has a name that ends with the weight's in the static graph."""
    weight = node.input[1]
    matches = [name for name in names if weight == name or weight.endswith(f"_{name}")]
    return names[max(matches, key=len)] if matches else node.name
