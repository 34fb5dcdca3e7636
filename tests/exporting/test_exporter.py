"""export.py: the same masks under Paddle Inference, onnxruntime and the training code."""

import os
import re
import sys

import cv2
import numpy as np
import paddle
import pytest
import tiny
import yaml
from exporting import FORMATS, MODEL, PADDLE_3, converts, flags, infer

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.evaluation.photographs import predict
from paddleseg.graphs import onnx_file
from paddleseg.weights.load import load_weights


@pytest.mark.parametrize("output_op", ["argmax", "softmax"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_model_gives_the_masks_of_the_training_code(
    tmp_path, trained, repository, kind, output_op
):
    config, weights, root = trained
    tiny.export(**flags(trained, tmp_path / "out", format=kind, output_op=output_op))
    printed = infer(repository, tmp_path / "out", os.path.join(root, "val_list.txt"), tmp_path / "masks")
    assert "images: 5, masks in" in printed
    assert "median" in printed

    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    load_weights(builder.model, weights)
    builder.model.eval()
    classes = set()
    for i, (image, _) in enumerate(builder.val_dataset.file_list):
        ours = predict(builder.model, builder.val_dataset.sample(i)["img"], (tiny.SIZE, tiny.SIZE))
        name = os.path.splitext(os.path.basename(image))[0]
        theirs = cv2.imread(str(tmp_path / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(theirs, ours)
        classes |= set(np.unique(ours))
    assert classes == {0, 1}


def test_the_deploy_file_says_what_a_deployment_needs(tmp_path, trained):
    tiny.export(**flags(trained, tmp_path / "out", output_op="softmax", input_shape=[1, 3, 64, 32]))
    with open(tmp_path / "out" / "deploy.yaml", encoding="utf-8") as file:
        deploy = yaml.safe_load(file)["Deploy"]
    assert deploy["transforms"] == [{"type": "Normalize"}]
    assert deploy["input_shape"] == [1, 3, 64, 32]
    assert (deploy["output_op"], deploy["output_dtype"]) == ("softmax", "float32")
    assert deploy["num_classes"] == 2
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["deploy.yaml", deploy["model"], deploy["params"]])


@converts
class TestOnnx:
    def test_sizes_are_free_unless_told_otherwise(self, tmp_path, trained):
        import onnxruntime

        tiny.export(**flags(trained, tmp_path / "out", format="onnx", output_op="none"))
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
        for n, height, width in ((1, 33, 65), (3, 64, 48)):
            image = np.zeros((n, 3, height, width), "float32")
            assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (n, 2, height, width)

    def test_the_converter_is_not_heard_unless_it_fails(self, tmp_path, trained, capfd, monkeypatch):
        tiny.export(**flags(trained, tmp_path / "out", format="onnx"))
        told = capfd.readouterr().out.splitlines()
        assert len(told) == 4
        assert all("\t" in line and ".export" not in line for line in told)

        failing = "import os; print('[ERROR] no converter for Frobnicate', flush=True); os.abort()"
        monkeypatch.setattr(onnx_file, "_CONVERSION", failing)
        told = r"paddle2onnx cannot convert this model: \[ERROR\] no converter for Frobnicate"
        with pytest.raises(UserError, match=told):
            tiny.export(**flags(trained, tmp_path / "out", format="onnx"))

    def test_what_it_was_compared_on_is_said(self, tmp_path, trained, capsys):
        _, _, root = trained
        tiny.export(**flags(trained, tmp_path / "a", format="onnx"))
        assert "on 5 of the config's validation images" in capsys.readouterr().out
        images = [os.path.join(root, "JPEGImages")]
        tiny.export(
            **flags(
                trained,
                tmp_path / "b",
                format="onnx",
                images=images,
                max_images=3,
                input_shape=[2, 3, 48, 40],
            )
        )
        assert "on 3 images of --images" in capsys.readouterr().out
        gone = ["val_dataset.dataset_root=nowhere"]
        tiny.export(**flags(trained, tmp_path / "c", format="onnx", opts=gone))
        assert "of seeded noise" in capsys.readouterr().out

    def test_a_file_that_disagrees_is_not_kept(self, tmp_path, trained, monkeypatch):
        right = onnx_file._classes
        flipped = iter(range(100))
        monkeypatch.setattr(onnx_file, "_classes", lambda o: right(o) + next(flipped) % 2)
        with pytest.raises(UserError, match=r"is wrong and was not kept: 0\.0000%"):
            tiny.export(**flags(trained, tmp_path / "out", format="onnx"))
        assert not os.path.exists(tmp_path / "out")

    def test_a_pooling_model_of_free_sizes_is_compared_at_those_of_its_images(
        self, tmp_path, trained, capsys
    ):
        """PSPNet's bins, up to 6 x 6, are more than a map of 4 x 4 has, and 11 x 9 is no multiple."""
        model = {
            "type": "PSPNet",
            "num_classes": 2,
            "backbone": {"type": "ResNet18_vd"},
            "pp_out_channels": 8,
        }
        config = tiny.write_yaml(tmp_path / "c.yml", tiny.config(trained[2], model))
        paddle.seed(3)
        network = SegBuilder(Config(config, sections=("model",))).model
        weights = tiny.save_weights(tmp_path / "model.pdparams", network)
        rng = np.random.default_rng(0)
        (tmp_path / "images").mkdir()
        for i, size in enumerate(((32, 32), (88, 72))):
            image = rng.integers(0, 256, (*size, 3)).astype("uint8")
            cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), image)
        images = [str(tmp_path / "images")]
        tiny.export(**flags((config, weights, None), tmp_path / "out", format="onnx", images=images))
        told = r"% of 7360 pixels have the same class .* on 2 images of --images"
        assert re.search(told, capsys.readouterr().out)

    @pytest.mark.parametrize("shape", [None, [1, 3, 32, 32]])
    def test_what_cannot_be_converted_is_told_what_would_do(self, tmp_path, trained, monkeypatch, shape):
        monkeypatch.setattr(onnx_file, "_CONVERSION", "raise SystemExit('[ERROR] no Frobnicate')")
        with pytest.raises(UserError) as refused:
            tiny.export(**flags(trained, tmp_path / "a" / "out", format="onnx", input_shape=shape))
        told = "paddle2onnx cannot convert this model: [ERROR] no Frobnicate; "
        fixed = "" if shape else "--input_shape with a fixed H and W may do, and "
        assert str(refused.value) == f"{told}{fixed}--format paddle does without it"
        assert not os.path.exists(tmp_path / "a")

    def test_a_file_that_onnxruntime_cannot_load_is_not_told_by_its_former_name(
        self, tmp_path, trained, monkeypatch
    ):
        monkeypatch.setattr(onnx_file, "_CONVERSION", "import sys; open(sys.argv[3], 'w').write('no ONNX')")
        (tmp_path / "out").mkdir()
        with pytest.raises(UserError, match=r"that onnxruntime cannot load: .*model\.onnx") as refused:
            tiny.export(**flags(trained, tmp_path / "out", format="onnx"))
        assert str(tmp_path) not in str(refused.value)
        assert os.listdir(tmp_path / "out") == []

    @pytest.mark.parametrize(
        "model",
        [
            {"type": "PPLiteSeg", "backbone": {"type": "STDC1"}},
            {
                "type": "UPerNet",
                "backbone": {"type": "ResNet18_vd", "output_stride": 32},
                "backbone_indices": [0, 1, 2, 3],
            },
            {
                "type": "PSPNet",
                "backbone": {"type": "ResNet18_vd", "output_stride": 16},
                "enable_auxiliary_loss": False,
            },
        ],
        ids=lambda model: model["type"],
    )
    def test_pyramid_pooling_is_right_at_any_size(self, tmp_path, model):
        import onnxruntime

        config = tiny.write_yaml(tmp_path / "c.yml", {"model": {**model, "num_classes": 3}})
        network = SegBuilder(Config(config, sections=("model",))).model
        network.eval()
        weights = tiny.save_weights(tmp_path / "model.pdparams", network)
        tiny.export(**flags((config, weights, None), tmp_path / "out", format="onnx", output_op="none"))
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
        for size in ((33, 65), (160, 96)):
            images = np.random.default_rng(0).standard_normal((2, 3, *size)).astype("float32")
            ours = network(paddle.to_tensor(images))[0].numpy()
            theirs = session.run(None, {session.get_inputs()[0].name: images})[0]
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4 * np.abs(ours).max())

    def test_a_file_that_onnxruntime_cannot_run_is_told(self, tmp_path, trained, monkeypatch):
        """A file for another size than is asked for stands for any failure while it runs."""
        right = onnx_file.write
        fixed = [1, 3, 48, 40]
        monkeypatch.setattr(onnx_file, "write", lambda layer, folder, shape: right(layer, folder, fixed))
        with pytest.raises(UserError, match=r"cannot run on an input of \[1, 3, 32, 32\]: .*48"):
            tiny.export(**flags(trained, tmp_path / "out", format="onnx"))
        assert not os.path.exists(tmp_path / "out")


@pytest.mark.skipif(PADDLE_3, reason="Paddle 2 alone is refused")
def test_onnx_is_refused_under_paddle_2(tmp_path, trained):
    with pytest.raises(UserError, match="needs Paddle 3"):
        tiny.export(**flags(trained, tmp_path / "out", format="onnx"))


def test_a_missing_converter_is_named(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "3.3.1")
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(UserError, match="pip install paddle2onnx"):
        tiny.export(**flags(trained, tmp_path / "out", format="onnx"))


@pytest.mark.parametrize("shape", [[1, -1, 32, 32], [0, 3, 32, 32], [1, 3, -2, 32]])
def test_a_shape_that_cannot_be_is_refused(tmp_path, trained, shape):
    with pytest.raises(UserError, match="--input_shape"):
        tiny.export(**flags(trained, tmp_path / "out", input_shape=shape))


def test_a_shape_that_the_model_does_not_take_is_refused(tmp_path, trained):
    with pytest.raises(
        UserError, match=r"--input_shape: the model does not run on an input of \[1, 1, 48, 40\]"
    ):
        tiny.export(**flags(trained, tmp_path / "out", input_shape=[-1, 1, 48, 40]))
    assert not os.path.exists(tmp_path / "out")


def test_a_grey_model_takes_grey_images_unless_told_otherwise(tmp_path):
    model = {**MODEL, "backbone": {**MODEL["backbone"], "in_channels": 1}}
    config = tiny.write_yaml(tmp_path / "grey.yml", {"model": model})
    network = SegBuilder(Config(config, sections=("model",))).model
    weights = tiny.save_weights(tmp_path / "grey.pdparams", network)
    tiny.export(**flags((config, weights, None), tmp_path / "out"))
    with open(tmp_path / "out" / "deploy.yaml", encoding="utf-8") as file:
        assert yaml.safe_load(file)["Deploy"]["input_shape"] == [-1, 1, -1, -1]


def test_an_export_of_another_format_leaves_no_graph_of_the_former(tmp_path, trained):
    """A folder of other files stands for an export of the other format, which Paddle 2 does not have."""
    out = tmp_path / "out"
    tiny.export(**flags(trained, out))
    for name in ("model.other", "model.mine", "notes.txt"):
        (out / name).write_text("", encoding="utf-8")
    for model, gone in (("model.other", {"model.other"}), ("notes.txt", set()), (["model.mine"], set())):
        before = set(os.listdir(out))
        tiny.write_yaml(out / "deploy.yaml", {"Deploy": {"model": model, "params": "model.pdiparams"}})
        tiny.export(**flags(trained, out))
        assert before - set(os.listdir(out)) == gone


def test_images_are_compared_for_onnx_alone(tmp_path, trained):
    with pytest.raises(UserError, match="--images are what an ONNX file is compared on; it needs --format"):
        tiny.export(**flags(trained, tmp_path / "out", images=["x"]))


def test_weights_that_are_no_numbers_are_refused(tmp_path, trained):
    state = {name: value * float("nan") for name, value in paddle.load(trained[1]).items()}
    paddle.save(state, str(tmp_path / "nan.pdparams"))
    with pytest.raises(
        UserError, match="the weights hold NaN, no numbers, such as .*: their training has diverged"
    ):
        tiny.export(**flags((trained[0], str(tmp_path / "nan.pdparams"), None), tmp_path / "out"))


def test_a_folder_in_the_place_of_a_file_is_told_and_nothing_is_replaced(tmp_path, trained):
    (tmp_path / "out" / "deploy.yaml").mkdir(parents=True)
    with pytest.raises(UserError, match=r"--save_dir: .*deploy\.yaml is a folder; move it out of the way"):
        tiny.export(**flags(trained, tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["deploy.yaml"]


def test_weights_are_needed(tmp_path, trained):
    with pytest.raises(UserError, match="no weights to export"):
        tiny.export(**flags(trained, tmp_path / "out", model_path=None))
