"""What tools/cost.py prints of configs."""

import re

import pytest
from refusal import refusal

from paddleseg.commands import cost

TEXT = """\
model:
  type: DeepLabV3P
  num_classes: 2
  backbone: {type: ResNet18_vd, output_stride: 16, pretrained: https://nowhere.invalid/weights.tar.gz}
  pretrained: no/such/file.pdparams
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def flags(config, channels):
    return ["--config", config, "--input_shape", 1, channels, 64, 64, "--repeats", 0]


def test_weights_are_not_needed_and_parts_add_up(typed, config, capsys):
    typed("cost.py", *flags(config, 3))
    cost.main()
    out = capsys.readouterr().out
    figures = dict(re.findall(r"^(\w+) +([\d,]+) +\d+\.\d{3} *$", out, re.MULTILINE))
    counts = {part: int(count.replace(",", "")) for part, count in figures.items()}
    assert counts["total"] == counts["backbone"] + counts["head"] > 10_000_000
    assert f"{config}, input 1 x 3 x 64 x 64" in out


def test_an_input_that_does_not_fit_is_refused(typed, config, capsys):
    typed("cost.py", *flags(config, 4))
    message = refusal(capsys, cost.main)
    assert message.startswith(f"{config}: the model does not run on an input of [1, 4, 64, 64]: ")
