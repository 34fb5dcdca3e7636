"""An exported model gives the same masks under Paddle Inference, onnxruntime and the training code."""

import os

import cv2
import numpy as np
import paddle
import pytest
import tiny
from exporting import (
    FORMATS,
    MODEL,
    assert_masks_of_the_training_code,
    converts,
    deploy_section,
    export,
    infer_alone,
    model_of,
)

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.errors import UserError
from paddleseg.exporting.deploy_file import write_deploy_file
from paddleseg.weights import load_weights


@pytest.mark.parametrize("output_op", ["argmax", "softmax"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_model_gives_the_masks_of_the_training_code(
    tmp_path, trained, repository, kind, output_op
):
    config, weights, root = trained
    export(trained, tmp_path / "out", format=kind, output_op=output_op)
    images = os.path.join(root, "val_list.txt")
    printed = infer_alone(repository, tmp_path / "out", images, tmp_path / "masks")
    assert "images: 5, masks in" in printed
    assert "median" in printed

    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    load_weights(builder.model, weights)
    builder.model.eval()
    assert_masks_of_the_training_code(tmp_path / "masks", builder, builder.model)


def test_the_deploy_file_says_what_a_deployment_needs(tmp_path, trained):
    export(trained, tmp_path / "out", output_op="softmax", input_shape=[1, 3, 64, 32])
    deploy = deploy_section(tmp_path / "out")
    assert deploy["transforms"] == [{"type": "Normalize"}]
    assert deploy["input_shape"] == [1, 3, 64, 32]
    assert (deploy["output_op"], deploy["output_dtype"]) == ("softmax", "float32")
    assert deploy["num_classes"] == 2
    assert deploy["precision"] == "fp32"
    assert deploy["source"] == {"config": trained[0], "weights": os.path.abspath(trained[1])}
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["deploy.yaml", deploy["model"], deploy["params"]])


def test_the_deploy_file_states_a_url_as_it_is(tmp_path, trained):
    cfg = Config(trained[0], sections=("model", "val_dataset", "export"))
    url = "https://example.com/model.pdparams"
    write_deploy_file(str(tmp_path), {}, cfg, "argmax", [-1, 3, -1, -1], 2, weights=url)
    assert deploy_section(tmp_path)["source"]["weights"] == url


@converts
def test_an_onnx_file_takes_any_size_by_default_and_its_converter_prints_nothing(tmp_path, trained, capfd):
    import onnxruntime

    export(trained, tmp_path / "out", format="onnx", output_op="none")
    printed = capfd.readouterr().out.splitlines()
    assert len(printed) == 4
    assert all("\t" in line and ".export" not in line for line in printed)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    for n, height, width in ((1, 33, 65), (3, 64, 48)):
        image = np.zeros((n, 3, height, width), "float32")
        assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (n, 2, height, width)


@converts
def test_a_file_of_half_precision_gives_the_masks_of_the_float_one(tmp_path, trained, repository, capsys):
    import onnx

    masks = []
    images = os.path.join(trained[2], "val_list.txt")
    for precision in ("fp32", "fp16"):
        out = tmp_path / precision
        export(trained, out, format="onnx", output_op="softmax", precision=precision, opset=14)
        assert deploy_section(out)["precision"] == precision
        assert onnx.load(out / "model.onnx").opset_import[0].version == 14
        infer_alone(repository, out, images, out / "masks")
        masks.append([cv2.imread(str(out / "masks" / f"val_{i}.png"), -1) for i in range(5)])
    assert "ONNX file (fp16) compared: " in capsys.readouterr().out
    assert np.mean(np.array(masks[0]) == np.array(masks[1])) >= 0.995
    assert set(np.unique(masks)) == {0, 1}


@converts
def test_an_operator_set_that_the_model_cannot_have_is_refused(tmp_path, trained):
    with pytest.raises(UserError, match="^opset 7 has no form of all operations of this model; opset 11 has"):
        export(trained, tmp_path / "out", format="onnx", opset=7)
    assert not os.path.exists(tmp_path / "out")


@manager.MODELS.add_component
class Large(paddle.nn.Layer):
    """Logits that come from numbers which float16 does not have."""

    def __init__(self, num_classes: int = 2):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, num_classes, 1)

    def forward(self, x):
        return [self.conv(x * 1e6) / 1e6]


@converts
def test_a_model_that_does_not_fit_half_precision_is_refused(tmp_path):
    given = model_of(tmp_path, {"type": "Large"})
    message = "^this model loses too much in fp16: .*; leave --precision fp16 out$"
    with pytest.raises(UserError, match=message) as refused:
        export(given, tmp_path / "out", format="onnx", precision="fp16")
    assert "format paddle" not in str(refused.value)
    assert not os.path.exists(tmp_path / "out")


@manager.MODELS.add_component
class Erfinv(paddle.nn.Layer):
    """Logits by an operation that paddle2onnx does not know."""

    def __init__(self, num_classes: int = 2):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, num_classes, 1)

    def forward(self, x):
        return [paddle.erfinv(paddle.tanh(self.conv(x)))]


@converts
@pytest.mark.parametrize("shape", [None, [1, 3, 32, 32]])
def test_a_model_that_cannot_be_converted_is_refused_with_a_remedy(tmp_path, shape):
    given = model_of(tmp_path, {"type": "Erfinv"})
    with pytest.raises(UserError, match=r"^paddle2onnx cannot convert this model: \[ERROR\]") as refused:
        export(given, tmp_path / "a" / "out", format="onnx", input_shape=shape)
    fixed = "" if shape else "an input_shape with a fixed H and W may work, and "
    assert str(refused.value).endswith(f"; {fixed}format paddle needs no ONNX file")
    assert not os.path.exists(tmp_path / "a")


def test_a_shape_that_the_model_does_not_take_is_refused(tmp_path, trained):
    message = r"^input_shape: the model does not run on an input of \[1, 1, 48, 40\]"
    with pytest.raises(UserError, match=message):
        export(trained, tmp_path / "out", input_shape=[-1, 1, 48, 40])
    assert not os.path.exists(tmp_path / "out")


def test_a_grey_model_takes_grey_images_by_default(tmp_path):
    model = {**MODEL, "backbone": {**MODEL["backbone"], "in_channels": 1}}
    export(model_of(tmp_path, model), tmp_path / "out")
    assert deploy_section(tmp_path / "out")["input_shape"] == [-1, 1, -1, -1]


def test_an_export_removes_the_other_files_of_an_earlier_one(tmp_path, trained):
    """A hand-written deploy.yaml stands for an export of the other format, which Paddle 2 does not have."""
    out = tmp_path / "out"
    export(trained, out)
    for name in ("model.other", "model.mine", "notes.txt"):
        (out / name).write_text("", encoding="utf-8")
    figures = "quantization.json"
    for model, gone in (
        ("model.other", {"model.other", figures}),
        ("notes.txt", {figures}),  # `params` names a file of an export
        (["model.mine"], {figures}),
    ):
        (out / figures).write_text("", encoding="utf-8")
        before = set(os.listdir(out))
        tiny.write_yaml(out / "deploy.yaml", {"Deploy": {"model": model, "params": "model.pdiparams"}})
        export(trained, out)
        assert before - set(os.listdir(out)) == gone


def test_weights_with_nan_are_refused(tmp_path, trained):
    state = {name: value * float("nan") for name, value in paddle.load(trained[1]).items()}
    paddle.save(state, str(tmp_path / "nan.pdparams"))
    with pytest.raises(UserError, match="the weights contain NaN, such as .*: their training has diverged"):
        export((trained[0], str(tmp_path / "nan.pdparams")), tmp_path / "out")


def test_a_folder_in_the_place_of_a_file_is_an_error_and_nothing_is_replaced(tmp_path, trained):
    (tmp_path / "out" / "deploy.yaml").mkdir(parents=True)
    with pytest.raises(UserError, match=r"save_dir: .*deploy\.yaml is a folder; move it out of the way"):
        export(trained, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["deploy.yaml"]


def test_weights_are_needed(tmp_path, trained):
    with pytest.raises(UserError, match="no weights to export"):
        export(trained, tmp_path / "out", model_path=None)
