"""Exported and INT8 models as rows of the page, measured under onnxruntime."""

import os
import shutil

import pytest
import tiny
from exporting import converts, deploy_section, export

from paddleseg.errors import UserError
from paddleseg.quantization.result import Figures, Result
from paddleseg.report import read_runs
from paddleseg.report.curves import exported_tradeoffs
from paddleseg.report.exported import Exported, is_exported, measure_exported, table

pytestmark = converts
INT8 = Figures(miou=0.25, class_iou=[0.5, 0.0], size=1, latency_one_core=9.0, latency_all_cores=9.0)
RESULT = Result(
    config="c.yml",
    weights=None,
    method="minmax",
    calibration_images=1,
    seed=0,
    float=INT8,
    int8=INT8,
    agreement=1.0,
    images=5,
    input_shape=[1, 3, 32, 32],
    cores=1,
    integer_instructions=None,
)


@pytest.fixture(scope="module")
def models(trained, tmp_path_factory):
    """An export of `plain_0` and a stand-in for its quantisation, whose measured figures are stored."""
    folder = tmp_path_factory.mktemp("exported")
    weights = str(trained / "plain_0" / "best_model" / "model.pdparams")
    export((str(trained / "student.yml"), weights), folder / "plain_onnx", format="onnx")
    shutil.copytree(folder / "plain_onnx", folder / "plain_int8")
    deploy = {**deploy_section(folder / "plain_int8"), "precision": "int8"}
    tiny.write_yaml(folder / "plain_int8" / "deploy.yaml", {"Deploy": deploy})
    RESULT.write(str(folder / "plain_int8"))
    return folder


def test_a_model_is_scored_on_the_images_of_its_run(models, trained):
    folders = [str(models / "plain_onnx"), str(models / "plain_int8")]
    assert [is_exported(folder) for folder in (*folders, str(trained / "plain_0"))] == [True, True, False]
    runs = read_runs([str(trained / "plain_0"), str(trained / "teacher")])
    (single, int8), notes = measure_exported(folders, ["a", "b"], runs)
    assert notes == []
    assert (single.name, single.precision, single.run) == ("a", "fp32", "plain_0")
    assert single.miou == pytest.approx(runs[0].best["miou"], abs=1e-4)
    assert single.megabytes == os.path.getsize(models / "plain_onnx" / "model.onnx") / 1e6
    assert single.shape == [1, 3, tiny.SIZE, tiny.SIZE]
    assert single.latency > 0
    # The stored score of a quantisation, but a latency of now, which can be compared with the other one.
    assert (int8.precision, int8.miou, int8.images) == ("int8", 0.25, 5)
    assert int8.latency > 0
    assert int8.latency != 9.0
    assert measure_exported(folders[1:], ["b"], runs, with_latency=False)[0][0].latency is None


def test_a_float_model_has_no_figures_of_an_earlier_quantisation(models, trained, tmp_path):
    shutil.copytree(models / "plain_onnx", tmp_path / "model")
    RESULT.write(str(tmp_path / "model"))
    runs = read_runs([str(trained / "plain_0")])
    (found,), _ = measure_exported([str(tmp_path / "model")], ["a"], runs, with_latency=False)
    assert found.miou == pytest.approx(runs[0].best["miou"], abs=1e-4)


def test_a_model_without_its_run_is_scored_on_the_images_of_its_config(models, trained, tmp_path):
    runs = read_runs([str(trained / "teacher")])
    (found,), _ = measure_exported([str(models / "plain_onnx")], ["a"], runs, with_latency=False)
    assert (found.run, found.images) == (None, 5)
    shutil.copytree(models / "plain_onnx", tmp_path / "moved")
    deploy = {**deploy_section(tmp_path / "moved"), "source": {"config": "gone.yml", "weights": None}}
    tiny.write_yaml(tmp_path / "moved" / "deploy.yaml", {"Deploy": deploy})
    (found,), notes = measure_exported([str(tmp_path / "moved")], ["moved"], runs)
    assert (found.miou, found.latency) == (None, None)
    assert notes == [
        "moved was not evaluated or not timed: neither the run that trained it is given, nor is the file of "
        "its config here."
    ]


@pytest.mark.parametrize(
    ("deploy", "message"),
    [
        (
            "Deploy: {model: model.json, params: p}",
            "holds a Paddle graph; the page has rows for exports with",
        ),
        ("Deploy: {model: gone.onnx}", "lacks gone.onnx, which its deploy.yaml names"),
        pytest.param("[" * 5000, "is not a deploy.yaml as export.py writes it", id="nested"),
        ("Deploy: 3", "is not a deploy.yaml as export.py writes it"),
    ],
)
def test_a_folder_without_an_onnx_file_is_refused(tmp_path, deploy, message):
    (tmp_path / "deploy.yaml").write_text(deploy, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        measure_exported([str(tmp_path)], ["a"], [])


@pytest.fixture
def trained_int8(models, trained, tmp_path):
    """A stand-in for a quantisation-aware training: the folder of a run with an INT8 model."""
    shutil.copytree(trained / "plain_0", tmp_path / "qat")
    for name in os.listdir(models / "plain_int8"):
        shutil.copy(models / "plain_int8" / name, tmp_path / "qat")
    return tmp_path / "qat"


def test_a_training_with_an_exported_model_is_both_on_the_page(trained_int8, report):
    text = report(trained_int8, repeats=0)
    assert "What an exported model costs" in text
    assert "INT8" in text
    (trained_int8 / "deploy.yaml").write_text("Deploy: {model: model.json, params: p}", encoding="utf-8")
    assert not is_exported(str(trained_int8))  # a Paddle graph, which has no row
    (trained_int8 / "deploy.yaml").write_text("Deploy: {", encoding="utf-8")
    with pytest.raises(UserError, match="is not a deploy.yaml as export.py writes it"):
        is_exported(str(trained_int8))


def test_the_page_has_a_row_for_each_and_both_trade_offs(models, trained, report):
    text = report(trained / "plain_0", models / "plain_onnx", models / "plain_int8", repeats=0)
    assert "What an exported model costs" in text
    assert "0.2500" in text
    assert "mIoU over the size of the file, MB" in text
    assert "mIoU over latency on one core" not in text  # nothing is timed
    with pytest.raises(UserError, match="a page needs a training"):
        report(models / "plain_onnx")


def test_the_table_and_the_charts_by_hand():
    models = [
        Exported("teacher", "fp32", "t", 80.0, 0.9, 10, 40.0, [1, 3, 32, 48]),
        Exported("student", "int8", None, 20.0, 0.7, 10, None),
        Exported("unknown", "fp16", None, 10.0),
    ]
    rows = table(models, ["A note."]).rows
    assert rows[0] == ["teacher", "0.9000", "10", "float", "80.0 MB", "40.0 ms", "32 × 48", "t"]
    assert rows[1] == ["student", "0.7000", "10", "INT8", "20.0 MB", "–", "–", "–"]
    assert rows[2][:4] == ["unknown", "–", "–", "FP16"]
    assert table(models, ["A note."]).notes[-1] == "A note."
    latency, size = exported_tradeoffs(models)
    assert [line.name for line in latency.lines] == ["teacher"]
    assert [(line.name, line.color) for line in size.lines] == [("teacher", 0), ("student", 1)]
    assert [line.pieces for line in size.lines] == [[[(380, 10)]], [[(52, 220)]]]
    assert exported_tradeoffs(models[2:]) == []
