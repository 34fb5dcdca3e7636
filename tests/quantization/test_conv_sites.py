"""Where an ONNX graph has a model's convolutions, on graphs that are written by hand."""

import math

import numpy as np
import paddle.nn as nn
import pytest

from paddleseg.quantization.conv_sites import conv_sites, float_nodes

onnx = pytest.importorskip("onnx")
FREE = (-math.inf, math.inf)


class Pair(nn.Layer):
    """Two convolutions and the batch norm of the first one; it never runs."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4)
        self.second = nn.Conv2D(4, 2, 1)


def graph(nodes, outputs=("logits",), **constants):
    """Return an ONNX model of (operation, name, inputs, output) nodes and scalar constants."""
    made = [onnx.helper.make_node(kind, inputs, [output], name) for kind, name, inputs, output in nodes]
    weights = [onnx.numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    ends = [[onnx.ValueInfoProto(name=name) for name in names] for names in (["x"], outputs)]
    return onnx.helper.make_model(onnx.helper.make_graph(made, "g", *ends, weights))


def exported(model, second=None):
    """Return the graph of a `Pair` as paddle2onnx writes it, or with another weight in the second node."""
    first, norm = model.first.weight.name, model.norm.weight.name
    return graph(
        [
            ("Conv", "Conv.0", ["x", first], "a"),
            ("BatchNormalization", "Norm.0", ["a", norm, "b", "m", "v"], "y"),
            ("Relu", "Relu.0", ["y"], "z"),
            ("Conv", "Conv.1", ["z", second or model.second.weight.name], "logits"),
        ]
    )


def folded(*between, second_input="z", outputs=("logits",), **constants):
    """Return what `qdq.folded` makes of it, with these nodes between the convolutions."""
    return graph(
        [
            ("Conv", "Conv.0", ["x", "folded_w", "folded_b"], "y"),
            *between,
            ("Conv", "Conv.1", [second_input, "w"], "logits"),
        ],
        outputs,
        **constants,
    )


RELU = ("Relu", "Relu.0", ["y"], "z")


def test_layers_norms_and_tensors():
    model = Pair()
    first, second = conv_sites(exported(model), folded(RELU), model)
    assert first == ("Conv.0", "first", "norm", "x", ("y", "z"), (0, math.inf))
    assert second == ("Conv.1", "second", None, "z", ("logits",), FREE)


@pytest.mark.parametrize(
    ("between", "more", "outputs", "limits"),
    [
        ([("Clip", "Clip.0", ["y", "low", "high"], "z")], {"low": 0, "high": 6}, ("y", "z"), (0, 6)),
        ([("Clip", "Clip.0", ["y", "low", "high"], "z")], {"low": -1, "high": 1}, ("y",), FREE),
        ([RELU, ("Sigmoid", "Sigmoid.0", ["y"], "gate")], {}, ("y",), FREE),
        ([RELU], {"outputs": ("logits", "y")}, ("y",), FREE),
        ([("Sigmoid", "Sigmoid.0", ["y"], "z")], {}, ("y",), FREE),
    ],
)
def test_only_a_relu_that_alone_reads_a_convolution_belongs_to_it(between, more, outputs, limits):
    model = Pair()
    first, _ = conv_sites(exported(model), folded(*between, **more), model)
    assert (first.outputs, first.limits) == (outputs, limits)


def test_a_layer_that_runs_twice_or_pads_otherwise_is_left_out():
    model = Pair()
    twice = exported(model, second=model.first.weight.name)
    assert conv_sites(twice, folded(RELU), model) == []
    model.second = nn.Conv2D(4, 2, 1, padding_mode="reflect")
    assert [site.layer for site in conv_sites(exported(model), folded(RELU), model)] == ["first"]


@pytest.mark.parametrize("operation", ["Mul", "Add"])
def test_a_convolution_with_a_folded_parameter_is_left_out(operation):
    model = Pair()
    first, norm = model.first.weight.name, model.norm.weight.name
    for reads, normed in (
        ("a", []),
        ("n", [("BatchNormalization", "Norm.0", ["a", norm, "b", "m", "v"], "n")]),
    ):
        whole = graph(
            [
                ("Conv", "Conv.0", ["x", first], "a"),
                *normed,
                (operation, "Gamma.0", [reads, "gamma"], "y"),
                ("Relu", "Relu.0", ["y"], "z"),
                ("Conv", "Conv.1", ["z", model.second.weight.name], "logits"),
            ]
        )
        sites = conv_sites(whole, folded(RELU), model)
        assert [site.layer for site in sites] == ["second"]
        assert float_nodes(folded(RELU), sites) == ["Conv.0", "Relu.0"]


def test_a_convolution_whose_batch_norm_runs_twice_is_left_out():
    model = Pair()
    whole = exported(model)
    shared = ["logits", model.norm.weight.name, "b", "m", "v"]
    whole.graph.node.append(onnx.helper.make_node("BatchNormalization", shared, ["again"], "Norm.1"))
    assert [site.layer for site in conv_sites(whole, folded(RELU), model)] == ["second"]


def test_the_own_bias_and_copies_are_part_of_a_convolution():
    model = Pair()
    whole = graph(
        [
            ("Conv", "Conv.0", ["x", model.first.weight.name], "a"),
            ("Reshape", "Reshape.0", [model.first.bias.name, "shape"], "bias"),
            ("Add", "Add.0", ["a", "bias"], "sum"),
            ("Identity", "Identity.0", ["sum"], "copy"),
            ("BatchNormalization", "Norm.0", ["copy", model.norm.weight.name, "b", "m", "v"], "n"),
            ("Identity", "Identity.1", ["n"], "y"),
        ]
    )
    (site,) = conv_sites(whole, folded(RELU), model)
    assert (site.layer, site.norm) == ("first", "norm")


def test_all_other_nodes_stay_in_float():
    model = Pair()
    whole = folded(RELU, ("Sigmoid", "Sigmoid.0", ["logits"], "gate"))
    assert float_nodes(whole, conv_sites(exported(model), whole, model)) == ["Sigmoid.0"]
