"""What tools/cost.py prints of configs."""

import re

import pytest
from refusal import refusal

TEXT = """\
model:
  type: DeepLabV3P
  num_classes: 2
  backbone: {type: ResNet18_vd, output_stride: 16, pretrained: https://nowhere.invalid/weights.tar.gz}
  pretrained: no/such/file.pdparams
"""


@pytest.fixture(scope="module")
def cost(tool):
    """The script tools/cost.py, as a module."""
    return tool("cost")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def typed(monkeypatch, config):
    """Return `typed(channels)`, which types the command for images of so many channels."""

    def of(channels):
        flags = ["--config", str(config), "--input_shape", "1", str(channels), "64", "64", "--repeats", "0"]
        monkeypatch.setattr("sys.argv", ["cost.py", *flags])

    return of


def test_weights_are_not_asked_for_and_parts_add_up(cost, config, typed, capsys):
    typed(3)
    cost.main()
    out = capsys.readouterr().out
    figures = dict(re.findall(r"^(\w+) +([\d,]+) +\d+\.\d{3} *$", out, re.MULTILINE))
    counts = {part: int(count.replace(",", "")) for part, count in figures.items()}
    assert counts["total"] == counts["backbone"] + counts["head"] > 10_000_000
    assert f"{config}, input 1 x 3 x 64 x 64" in out


def test_an_input_that_does_not_fit_is_refused(cost, config, typed, capsys):
    typed(4)
    told = refusal(capsys, cost.main)
    assert told.startswith(f"{config}: the model does not run on an input of [1, 4, 64, 64]: ")
