"""paddleseg/quantization/sensitivity.py and groups.py: which layers must stay in float."""

import pytest
from onnx_models import float_file

from paddleseg.quantization import qdq
from paddleseg.quantization.groups import groups
from paddleseg.quantization.sensitivity import costs, left_in_float

COSTS = {"stem": 0.03, "body": 0.001, "neck": 0.0, "head": 0.02}


def drop(in_float):
    """The loss of mIoU if all other groups are in integers."""
    return sum(cost for name, cost in COSTS.items() if name not in in_float)


def test_groups_are_ordered_by_what_each_costs_alone():
    assert list(costs(COSTS, drop)) == ["stem", "head", "body", "neck"]
    assert costs(COSTS, drop) == pytest.approx(COSTS)


def test_the_fewest_groups_stay_in_float():
    ordered = ["stem", "head", "body", "neck"]
    assert left_in_float(ordered, drop, 0.03) == ["stem"]
    assert left_in_float(ordered, drop, 0.01) == ["stem", "head"]
    assert left_in_float(ordered, drop, 0.0001) == ["stem", "head"]  # half at most


def test_groups_have_the_names_of_the_layers(tmp_path):
    pytest.importorskip("onnxruntime.quantization", reason="needs ml_dtypes below 0.5")
    qdq.folded(float_file(tmp_path / "float.onnx"), tmp_path / "folded.onnx")
    names = {"first": "backbone.stem.conv", "irst": "wrong", "second": "head.conv"}
    found = groups(tmp_path / "folded.onnx", names)
    assert {name: group.layers for name, group in found.items()} == {
        "backbone.stem": ["backbone.stem.conv"],
        "head.conv": ["head.conv"],
    }
    assert [len(group.nodes) for group in found.values()] == [2, 1]  # the ReLU behind the first


def test_a_large_group_is_divided(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime.quantization", reason="needs ml_dtypes below 0.5")
    qdq.folded(float_file(tmp_path / "float.onnx"), tmp_path / "folded.onnx")
    names = {"first": "backbone.stages.0.conv", "second": "backbone.stages.1.conv"}
    assert list(groups(tmp_path / "folded.onnx", names)) == ["backbone.stages"]
    monkeypatch.setattr("paddleseg.quantization.groups.MOST", 1)
    assert list(groups(tmp_path / "folded.onnx", names)) == ["backbone.stages.0", "backbone.stages.1"]
    # Names that cannot be divided stay together.
    same = dict.fromkeys(names, "conv")
    assert list(groups(tmp_path / "folded.onnx", same)) == ["conv"]
