"""The costs on the page, and the input on which they were measured."""

import pytest

from paddleseg.options import ReportOptions
from paddleseg.report import costs as module
from paddleseg.report.costs import costs, input_shape
from paddleseg.report.page import contents
from paddleseg.report.runs import read_runs

MEASURED = {
    "parameters": 1,
    "flops": 2,
    "seconds": 0.1,
    "uncounted": [],
    "megabytes": 9.0,
    "megabytes_before": 5.0,
}


@pytest.mark.parametrize(
    ("repeats", "sentence"),
    [(1, "Latency is the time of one forward pass."), (3, "the median of 3 forward passes")],
)
def test_how_latency_was_measured(made_up, monkeypatch, repeats, sentence):
    monkeypatch.setattr(module, "measure", lambda *args: MEASURED)
    _, notes = costs(read_runs([made_up("a")]), repeats, "cpu")
    assert sentence in notes[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_without_data_the_input_has_the_channels_of_the_model(made_up, channels):
    backbone = {"type": "ResNet18_vd", "in_channels": channels}
    run = read_runs([made_up("a", {"type": "DeepLabV3P", "backbone": backbone})])[0]
    shape, why = input_shape(run)
    assert shape == (channels, 512, 512)
    assert "val_dataset" in why


def test_the_engine_of_convolutions_is_that_of_the_options(made_up, monkeypatch):
    engines = []
    monkeypatch.setattr(module, "measure", lambda *args: engines.append(args[-1]) or MEASURED)
    contents(read_runs([made_up("a")]), ReportOptions(device="cpu", conv_engine="paddle"))
    assert engines == ["paddle"]
