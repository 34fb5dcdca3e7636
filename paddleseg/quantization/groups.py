"""The layers of an ONNX file in groups, by the names that the Paddle model gives them."""

import dataclasses
from typing import List

from paddleseg.quantization.qdq import WEIGHTED, integer_nodes, read_onnx

DEPTH = 2  # of the dotted names that make a group: `backbone.bb_0_0`, `head.aspp`
MOST = 16  # layers of a group; a larger one is divided by the next part of the names


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
    nodes = integer_nodes(read_onnx(path).graph)
    layers = {node.name: _layer(node, names) for node in nodes if node.op_type in WEIGHTED}
    keys = _keys([*layers.values()], DEPTH)
    found, group_of = {}, {}  # the groups, and the group of each tensor
    for node in nodes:
        if node.name in layers:
            layer = layers[node.name]
            key = keys[layer]
            found.setdefault(key, Group()).layers.append(layer)
        else:
            key = next(group_of[name] for name in node.input if name in group_of)
        group_of.update(dict.fromkeys(node.output, key))
        found[key].nodes.append(node.name)
    return found


def _keys(layers, depth):
    """Return {layer: its group}: the first `depth` parts of its name, or more if that group is large."""
    members, keys = {}, {}
    for layer in layers:
        members.setdefault(".".join(layer.split(".")[:depth]), []).append(layer)
    for key, inside in members.items():
        divisible = any(layer.count(".") >= depth for layer in inside)
        large = len(inside) > MOST and divisible
        keys.update(_keys(inside, depth + 1) if large else dict.fromkeys(inside, key))
    return keys


def _layer(node, names):
    """Return the layer of a node: its weight has a name that ends with the weight's in the static graph."""
    weight = node.input[1]
    matches = [name for name in names if weight == name or weight.endswith(f"_{name}")]
    return names[max(matches, key=len)] if matches else node.name
