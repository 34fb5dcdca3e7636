"""`slim/quant/qat.py` as a user types it: what it refuses, in one line and with status 2."""

import pytest
import tiny
from exporting import converts
from refusal import refused

from paddleseg.commands import qat as qat_command

pytestmark = converts


@pytest.fixture
def qat(tmp_path, root, command):
    """Run the command for a `TinyNet`, with some flags; `changes` are keys of its config."""

    def run(*flags, **changes):
        path = tiny.write_yaml(tmp_path / "student.yml", {**tiny.config(root), **changes})
        folder = ["--save_dir", tmp_path / "out", "--device", "cpu"]
        return command("slim/quant/qat.py", "--student_config", path, *folder, *flags)

    return run


def test_a_student_without_weights(qat):
    refused(qat(), "student.yml: no weights to quantise: give model_path, or set model.pretrained in it")


def test_weights_of_another_student(qat, tmp_path):
    weights = tiny.save_weights(tmp_path / "wide.pdparams", tiny.TinyNet(width=6))
    refused(qat("--model_path", weights), "wide.pdparams are not those of TinyNet")


def test_a_teacher_without_weights(qat, tmp_path):
    model = {"type": "TinyNet", "num_classes": 2}
    teacher = tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]})
    refused(qat("--teacher_config", teacher), "model.pretrained is empty", "allow_random_teacher")


def test_values_of_a_teacher_that_is_not_named(qat):
    refused(qat("--teacher_opts", "model.pretrained=w"), "--teacher_opts is given 1 time for 0 teachers")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("distill_config", ["mine.py"]),
        ("teacher_cache", ["cache", "--cache_views", "1"]),
        ("cache_dtype", ["float32"]),
        ("teacher_engine", ["onnxruntime"]),
        ("allow_random_teacher", []),
    ],
)
def test_flags_of_a_teacher_that_is_not_named(qat, name, values):
    refused(qat(f"--{name}", *values), f"{name} is given for 0 teachers; name a teacher, or leave {name} out")


def test_help_leaves_out_what_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["qat.py", "--help"])
    with pytest.raises(SystemExit):
        qat_command.main()
    text = capsys.readouterr().out
    assert "--calibration_images" in text
    assert not any(flag in text for flag in ("--to_static_training", "--precision", "--amp_level"))


def test_a_static_graph(qat):
    refused(qat("--to_static_training"), "to_static_training: fake quantisation follows the ranges")


def test_a_tap_inside_a_convolution_that_is_folded(qat, tmp_path):
    weights = tiny.save_weights(tmp_path / "teacher.pdparams", tiny.TinyNet())
    model = {"type": "TinyNet", "num_classes": 2, "pretrained": weights}
    teacher = tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]})
    feature = {"student": "body.0", "teacher": "body.0", "loss": {"type": "L1Loss"}}
    result = qat("--teacher_config", teacher, "--model_path", weights, distill={"features": [feature]})
    refused(result, "a tap reads the output of the convolution 'body.0'", "tap the output of the batch norm")
