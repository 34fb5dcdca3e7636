"""paddleseg/quantization/result.py: the table and the file of the figures."""

import dataclasses
import json

import pytest

from paddleseg.errors import UserError
from paddleseg.quantization.result import Figures, Result, read_result

RESULT = Result(
    config="c.yml",
    weights="w.pdparams",
    method="minmax",
    calibration_images=4,
    seed=0,
    float=Figures(0.75, [0.9, 0.6], 40_000_000, 20.0, 12.0),
    int8=Figures(0.74, [0.9, 0.58], 10_000_000, 6.0, 4.0),
    agreement=0.99,
    images=3,
    input_shape=[1, 3, 32, 48],
    cores=2,
    integer_instructions=["avx512_vnni"],
    class_names=["background", "disc"],
    float_layers={"head.aspp": ["head.aspp.conv"]},
    sensitivity={"head.aspp": 0.02},
)


def test_the_file_holds_all_figures(tmp_path):
    RESULT.write(tmp_path)
    assert read_result(tmp_path) == RESULT
    values = json.loads((tmp_path / "quantization.json").read_text(encoding="utf-8"))
    assert values["int8"]["latency_one_core"] == 6.0
    assert values["float_layers"] == {"head.aspp": ["head.aspp.conv"]}


def test_the_table_compares_both_models():
    rows = [line.split("  ") for line in RESULT.table()]
    cells = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert cells["mIoU"] == ["0.7500", "0.7400", "-0.0100"]
    assert cells["IoU of disc"] == ["0.6000", "0.5800", "-0.0200"]
    assert cells["size, MB"] == ["40.0", "10.0", "x 0.25"]
    assert cells["latency on 2 cores, ms"] == ["12.0", "4.0", "x 0.33"]
    assert cells["pixels with the same class"] == ["99.00%"]
    assert len({len(line) for line in RESULT.table()}) == 1
    assert sum("core" in line for line in dataclasses.replace(RESULT, cores=1).table()) == 1
    unnamed = dataclasses.replace(RESULT, class_names=())
    assert any(line.startswith("IoU of class 1 ") for line in unnamed.table())


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"float": 1}', pytest.param("[" * 200000, id="nested")])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "quantization.json").write_text(text)
    with pytest.raises(UserError, match=r"quantization\.json is not the result file of a quantisation"):
        read_result(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        read_result(tmp_path / "none")
