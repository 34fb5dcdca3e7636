"""Quantisation-aware training of tiny students, as a whole: the run, its INT8 file, and its refusals."""

import dataclasses
import os

import numpy as np
import onnxruntime
import paddle
import pytest
import running
import tiny
import yaml
from exporting import converts

from paddleseg.commands.distill import teacher_configs
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError
from paddleseg.options import QatOptions
from paddleseg.quantization import fake_model, qat
from paddleseg.quantization.result import read_result
from paddleseg.utils.save_dir import file_digest
from paddleseg.weights.load import load_weights

pytestmark = converts
STUDENT = {"type": "StridedNet", "num_classes": 2, "stride": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The paths of a student's config and weights and of a teacher's config, and a folder for runs."""
    folder = tmp_path_factory.mktemp("qat")
    paddle.seed(1)
    teacher = {"type": "TinyNet", "num_classes": 2, "pretrained": str(folder / "teacher.pdparams")}
    tiny.save_weights(teacher["pretrained"], tiny.TinyNet())
    student = tiny.config(tiny.write_optic_disc(folder / "data"), model=STUDENT)
    return {
        "student": tiny.write_yaml(folder / "student.yml", student),
        "weights": tiny.save_weights(folder / "student.pdparams", tiny.StridedNet(stride=2)),
        "teacher": tiny.write_yaml(folder / "teacher.yml", {"model": teacher, "imports": ["tiny"]}),
        "folder": folder,
    }


def train(files, name, teachers=("teacher",), **given):
    """Train the student with fake quantisation; return the folder of the run and the result."""
    folder = str(files["folder"] / name)
    defaults = {**tiny.TRAINING, "calibration_images": 4}
    if teachers:
        defaults["teacher_engine"] = "paddle"
    cfg = tiny.training_config(files["student"], given)
    options = {**defaults, "model_path": files["weights"], "save_dir": folder, **given}
    configs = teacher_configs([files[teacher] for teacher in teachers], None)
    return folder, qat.train(cfg, configs, QatOptions(**options))


@pytest.fixture(scope="module")
def student():
    """A list that gets the fake-quantised student of the run `whole`."""
    return []


@pytest.fixture(scope="module")
def whole(files, student):
    """The folder and the result of an uninterrupted run of four iterations."""

    def fake_quantize(model, *args):
        student.append(model)
        return fake_model.fake_quantize(model, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qat, "fake_quantize", fake_quantize)
        return train(files, "whole")


def test_a_dry_run_leaves_nothing(files):
    folder, result = train(files, "dry", dry_run=True)
    assert result == {}
    assert os.listdir(folder) == []


def test_a_run_leaves_what_a_training_leaves_and_an_int8_model(whole):
    folder, result = whole
    assert {"iter_2", "iter_4", "best_model", "run.yml", "history.jsonl"} <= set(os.listdir(folder))
    assert result["best_iter"] in (2, 4)
    assert 0 < result["best_miou"] <= 1
    figures = read_result(folder)
    assert figures.method == "qat"
    assert figures.images == 5
    assert figures.int8.miou == pytest.approx(result["best_miou"], abs=0.01)
    with open(os.path.join(folder, "deploy.yaml"), encoding="utf-8") as file:
        deploy = yaml.safe_load(file)["Deploy"]
    assert deploy["model"] == "model.onnx"
    assert deploy["sha256"] == {"model": file_digest(os.path.join(folder, "model.onnx"))}


def test_masks_of_the_int8_model_are_those_of_the_fake_quantised_one(files, whole, student):
    (model,) = student
    load_weights(model, os.path.join(whole[0], "best_model"), fixed=True)
    model.eval()
    dataset = SegBuilder(tiny.training_config(files["student"], {})).val_dataset
    images = np.stack([dataset[i]["img"] for i in range(len(dataset))]).astype("float32")
    session = onnxruntime.InferenceSession(
        os.path.join(whole[0], "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (masks,) = session.run(None, {"x": images})
    with paddle.no_grad():
        logits = model(paddle.to_tensor(images))[0].numpy()
    assert masks.shape == logits.argmax(axis=1).shape
    assert (masks == logits.argmax(axis=1)).mean() > 0.999
    assert 0 < masks.mean() < 1, "both classes are there"


def test_a_stopped_run_continues_to_the_same_bits(files, whole):
    with running.stopped_after(2):
        train(files, "stopped", no_eval=True)
    assert not os.path.isfile(files["folder"] / "stopped" / "model.onnx")
    folder, _ = train(files, "stopped", no_eval=True, resume_model="auto")
    for name in ("model.pdparams", "model.pdopt"):
        arrays = (tiny.flat_arrays(os.path.join(run, "iter_4", name)) for run in (whole[0], folder))
        running.assert_same(*arrays)
    assert os.path.isfile(os.path.join(folder, "model.onnx"))


def test_the_weights_also_load_into_the_float_model(files, whole, lines):
    weights = os.path.join(whole[0], "best_model", "model.pdparams")
    scores = tiny.evaluate(files["student"], weights)
    assert 0 < scores.miou <= 1
    assert any("without its ranges of activations" in line for line in lines)


def test_labels_alone_train_a_student_too(files, whole):
    folder, result = train(
        files,
        "labels",
        teachers=(),
        iters=2,
        no_eval=True,
        output_op="none",
        input_shape=[1, 3, 32, 32],
    )
    assert result == {}
    session = onnxruntime.InferenceSession(
        os.path.join(folder, "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"x": np.zeros([1, 3, 32, 32], "float32")})
    assert logits.shape == (1, 2, 32, 32)
    assert session.get_inputs()[0].shape == [1, 3, 32, 32]
    with open(os.path.join(folder, "run.yml"), encoding="utf-8") as file:
        assert yaml.safe_load(file)["role"] == "train"


def test_an_option_for_teachers_needs_one(files):
    with pytest.raises(UserError, match="teacher_engine is given for 0 teachers; name a teacher"):
        train(files, "refused", teachers=(), teacher_engine="paddle")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model_path": None}, "no weights to quantise: give model_path, or set model.pretrained"),
        ({"model_path": "no.pdparams"}, "no file of weights at no.pdparams"),
        ({"to_static_training": True}, "to_static_training: fake quantisation"),
        ({"precision": "bf16"}, "precision bf16: fake quantisation computes in float32"),
        ({"input_shape": [1, -1, 8, 8]}, "input_shape 1 -1 8 8: it takes N C H W"),
        ({"input_shape": [4, 3, 32, 32]}, "input_shape 4 3 32 32: the INT8 model is measured on one image"),
        ({"input_shape": [1, 3, 48, 48]}, "input_shape 1 3 48 48: "),
        ({"calibration_images": 0}, "calibration_images must be a whole number above 0, not 0"),
    ],
)
def test_refusals(files, given, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        train(files, "refused", **given)


def test_options_of_a_distillation_are_options_here():
    names = {field.name for field in dataclasses.fields(QatOptions)}
    assert {"model_path", "calibration_images", "teacher_cache", "resume_model", "use_ema"} <= names
