"""export.py and deploy/infer.py: the same masks under Paddle Inference, onnxruntime and the training code."""

import os
import re
import runpy
import subprocess
import sys

import cv2
import numpy as np
import paddle
import pytest
import tiny
import yaml

from paddleseg.core import onnx_file
from paddleseg.core.export import export
from paddleseg.core.predict import predict
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import reading
from paddleseg.utils.weights import load_weights

PADDLE_3 = int(paddle.__version__.split(".")[0]) >= 3
FORMATS = [
    "paddle",
    pytest.param("onnx", marks=pytest.mark.skipif(not PADDLE_3, reason="the converter needs Paddle 3")),
]
MODEL = {
    "type": "DeepLabV3P",
    "num_classes": 2,
    "backbone": {"type": "ResNet18_vd", "output_stride": 16},
    "aspp_out_channels": 8,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config, its weights and its data set; the classifier's bias is such that both classes occur."""
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.write_optic_disc(folder / "data")
    config = tiny.write_yaml(folder / "c.yml", tiny.config(root, MODEL))
    paddle.seed(3)
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    model = builder.model
    model.eval()
    tiny.balance(model, model.head.decoder.conv.bias, builder.val_dataset[0]["img"])
    return config, tiny.save_weights(folder / "model.pdparams", model), root


def flags(trained, save_dir, **given):
    config, weights, _ = trained
    defaults = {"opts": None, "format": "paddle", "output_op": "argmax", "input_shape": None, "images": None}
    return tiny.arguments(
        **{
            **defaults,
            "config": config,
            "model_path": weights,
            "save_dir": str(save_dir),
            "max_images": 20,
            **given,
        }
    )


def infer(repository, folder, images, out):
    """Run deploy/infer.py where the package cannot be imported; return its stdout."""
    command = [sys.executable, "-S", "-c", _WITHOUT_PACKAGE, str(repository / "deploy/infer.py")]
    command += ["--config", str(folder / "deploy.yaml"), "--image_path", images, "--save_dir", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


_WITHOUT_PACKAGE = """
import runpy, site, sys
site.main()
sys.modules["paddleseg"] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("output_op", ["argmax", "softmax"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_model_gives_the_masks_of_the_training_code(
    tmp_path, trained, repository, kind, output_op
):
    config, weights, root = trained
    export(flags(trained, tmp_path / "out", format=kind, output_op=output_op))
    printed = infer(repository, tmp_path / "out", os.path.join(root, "val_list.txt"), tmp_path / "masks")
    assert "5 image(s)" in printed
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
    export(flags(trained, tmp_path / "out", output_op="softmax", input_shape=[1, 3, 64, 32]))
    with open(tmp_path / "out" / "deploy.yaml", encoding="utf-8") as file:
        deploy = yaml.safe_load(file)["Deploy"]
    assert deploy["transforms"] == [{"type": "Normalize"}]
    assert deploy["input_shape"] == [1, 3, 64, 32]
    assert (deploy["output_op"], deploy["output_dtype"]) == ("softmax", "float32")
    assert deploy["num_classes"] == 2
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["deploy.yaml", deploy["model"], deploy["params"]])


@pytest.mark.skipif(not PADDLE_3, reason="the converter needs Paddle 3")
class TestOnnx:
    def test_sizes_are_free_unless_told_otherwise(self, tmp_path, trained):
        import onnxruntime

        export(flags(trained, tmp_path / "out", format="onnx", output_op="none"))
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
        for n, height, width in ((1, 33, 65), (3, 64, 48)):
            image = np.zeros((n, 3, height, width), "float32")
            assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (n, 2, height, width)

    def test_the_converter_is_not_heard_unless_it_fails(self, tmp_path, trained, capfd, monkeypatch):
        export(flags(trained, tmp_path / "out", format="onnx"))
        told = capfd.readouterr().out.splitlines()
        assert len(told) == 3
        assert all("\t" in line and ".export" not in line for line in told)

        failing = "import os; print('[ERROR] no converter for Frobnicate', flush=True); os.abort()"
        monkeypatch.setattr(onnx_file, "_CONVERSION", failing)
        told = r"paddle2onnx cannot convert this model: \[ERROR\] no converter for Frobnicate"
        with pytest.raises(UserError, match=told):
            export(flags(trained, tmp_path / "out", format="onnx"))

    def test_what_it_was_compared_on_is_said(self, tmp_path, trained, capsys):
        _, _, root = trained
        export(flags(trained, tmp_path / "a", format="onnx"))
        assert "on 5 of the config's validation images" in capsys.readouterr().out
        images = [os.path.join(root, "JPEGImages")]
        export(
            flags(
                trained,
                tmp_path / "b",
                format="onnx",
                images=images,
                max_images=3,
                input_shape=[2, 3, 48, 40],
            )
        )
        assert "on 3 image(s) of --images" in capsys.readouterr().out
        gone = ["val_dataset.dataset_root=nowhere"]
        export(flags(trained, tmp_path / "c", format="onnx", opts=gone))
        assert "of seeded noise" in capsys.readouterr().out

    def test_a_file_that_disagrees_is_not_kept(self, tmp_path, trained, monkeypatch):
        right = onnx_file._classes
        flipped = iter(range(100))
        monkeypatch.setattr(onnx_file, "_classes", lambda o: right(o) + next(flipped) % 2)
        with pytest.raises(UserError, match=r"is wrong and was not kept: 0\.0000%"):
            export(flags(trained, tmp_path / "out", format="onnx"))
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
        export(flags((config, weights, None), tmp_path / "out", format="onnx", images=images))
        told = r"% of 7360 pixels have the same class .* on 2 image\(s\) of --images"
        assert re.search(told, capsys.readouterr().out)

    @pytest.mark.parametrize("shape", [None, [1, 3, 32, 32]])
    def test_what_cannot_be_converted_is_told_what_would_do(self, tmp_path, trained, monkeypatch, shape):
        monkeypatch.setattr(onnx_file, "_CONVERSION", "raise SystemExit('[ERROR] no Frobnicate')")
        with pytest.raises(UserError) as refused:
            export(flags(trained, tmp_path / "a" / "out", format="onnx", input_shape=shape))
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
            export(flags(trained, tmp_path / "out", format="onnx"))
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
        export(flags((config, weights, None), tmp_path / "out", format="onnx", output_op="none"))
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
            export(flags(trained, tmp_path / "out", format="onnx"))
        assert not os.path.exists(tmp_path / "out")


@pytest.mark.skipif(PADDLE_3, reason="Paddle 2 alone is refused")
def test_onnx_is_refused_under_paddle_2(tmp_path, trained):
    with pytest.raises(UserError, match="needs Paddle 3"):
        export(flags(trained, tmp_path / "out", format="onnx"))


def test_a_missing_converter_is_named(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "3.3.1")
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(UserError, match="pip install paddle2onnx"):
        export(flags(trained, tmp_path / "out", format="onnx"))


@pytest.mark.parametrize("shape", [[1, -1, 32, 32], [0, 3, 32, 32], [1, 3, -2, 32]])
def test_a_shape_that_cannot_be_is_refused(tmp_path, trained, shape):
    with pytest.raises(UserError, match="--input_shape"):
        export(flags(trained, tmp_path / "out", input_shape=shape))


def test_a_shape_that_the_model_does_not_take_is_refused(tmp_path, trained):
    with pytest.raises(
        UserError, match=r"--input_shape: the model does not run on an input of \[1, 1, 48, 40\]"
    ):
        export(flags(trained, tmp_path / "out", input_shape=[-1, 1, 48, 40]))
    assert not os.path.exists(tmp_path / "out")


def test_a_grey_model_takes_grey_images_unless_told_otherwise(tmp_path):
    model = {**MODEL, "backbone": {**MODEL["backbone"], "in_channels": 1}}
    config = tiny.write_yaml(tmp_path / "grey.yml", {"model": model})
    network = SegBuilder(Config(config, sections=("model",))).model
    weights = tiny.save_weights(tmp_path / "grey.pdparams", network)
    export(flags((config, weights, None), tmp_path / "out"))
    with open(tmp_path / "out" / "deploy.yaml", encoding="utf-8") as file:
        assert yaml.safe_load(file)["Deploy"]["input_shape"] == [-1, 1, -1, -1]


def test_weights_are_needed(tmp_path, trained):
    with pytest.raises(UserError, match="no weights to export"):
        export(flags(trained, tmp_path / "out", model_path=None))


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "Resize", "target_size": [40, 28]},
        {
            "type": "Resize",
            "target_size": [40, 40],
            "keep_ratio": True,
            "size_divisor": 16,
            "interp": "CUBIC",
        },
        {"type": "Normalize", "mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2]},
    ],
)
def test_a_deployed_image_is_prepared_as_in_training(repository, spec):
    from paddleseg.cvlibs.builder import build_transforms
    from paddleseg.transforms import Compose

    alone = runpy.run_path(str(repository / "deploy/infer.py"))
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype("uint8")
    ours = Compose(build_transforms([spec]))({"img": image})["img"]
    np.testing.assert_allclose(alone["prepared"](image, [alone["step"](spec)])[0], ours, rtol=1e-6, atol=1e-5)


def test_an_unknown_transform_of_a_deployment_is_refused(repository):
    alone = runpy.run_path(str(repository / "deploy/infer.py"))
    with pytest.raises(alone["UserError"], match="RandomDistort is not one that infer.py knows"):
        alone["step"]({"type": "RandomDistort"})


def test_a_broken_image_is_passed_over_and_said(tmp_path, trained, repository, capsys, monkeypatch):
    _, _, root = trained
    export(flags(trained, tmp_path / "out"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image")
    good = cv2.imread(os.path.join(root, "JPEGImages", "val_0.jpg"))
    cv2.imwrite(str(tmp_path / "images" / "b.png"), good)
    command = [
        "infer.py",
        "--config",
        str(tmp_path / "out" / "deploy.yaml"),
        "--image_path",
        str(tmp_path / "images"),
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--save_dir", str(tmp_path / "masks")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(repository / "deploy/infer.py"), run_name="__main__")
    assert stop.value.code == 2
    assert "a.jpg" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path / "masks")) == ["b.png", "b_color.png"]


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--save_dir", "{file}/masks", "cannot make the folder"),
        ("--config", "{file}", "file is no deploy.yaml, which export.py writes beside the model"),
        ("--config", "{file}.yaml", "file.yaml: No such file or directory"),
    ],
)
def test_what_a_deployment_refuses(tmp_path, trained, repository, capsys, monkeypatch, flag, value, told):
    export(flags(trained, tmp_path / "out"))
    (tmp_path / "file").write_bytes(b"\xff\x00")
    given = {
        "--config": str(tmp_path / "out" / "deploy.yaml"),
        "--image_path": os.path.join(trained[2], "JPEGImages"),
        "--save_dir": str(tmp_path / "masks"),
        flag: value.format(file=tmp_path / "file"),
    }
    monkeypatch.setattr(sys, "argv", ["infer.py", *(word for pair in given.items() for word in pair)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(repository / "deploy/infer.py"), run_name="__main__")
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_probabilities_give_the_classes_of_their_logits_at_any_size(repository):
    mask_of = runpy.run_path(str(repository / "deploy/infer.py"))["mask_of"]
    logits = 4 * np.random.default_rng(0).standard_normal((1, 5, 16, 24)).astype("float32")
    likely = np.exp(logits - logits.max(1, keepdims=True))
    masks = [
        mask_of(output, (61, 83), op)
        for output, op in ((logits, "none"), (likely / likely.sum(1, keepdims=True), "softmax"))
    ]
    np.testing.assert_array_equal(*masks)
    assert set(np.unique(masks)) == set(range(5))


def test_an_image_that_is_cut_off_is_none(tmp_path, repository):
    read_image = runpy.run_path(str(repository / "deploy/infer.py"))["read_image"]
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype="uint8")
    path = str(tmp_path / "a.jpg")
    cv2.imwrite(path, image)
    np.testing.assert_array_equal(read_image(path), cv2.imread(path))
    os.truncate(path, os.path.getsize(path) // 2)
    assert read_image(path) is None
    os.truncate(path, 0)
    assert read_image(path) is None
    assert read_image(str(tmp_path / "gone.jpg")) is None


@pytest.mark.parametrize("kind", ["baseline", "progressive", "thumbnail", "trailer"])
def test_cut_images_are_those_that_training_refuses(tmp_path, repository, kind):
    read_image = runpy.run_path(str(repository / "deploy/infer.py"))["read_image"]
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype="uint8")
    whole = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == "progressive")])[
        1
    ].tobytes()
    if kind == "thumbnail":
        small = b"Exif\0\0" + cv2.imencode(".jpg", picture[:8, :8])[1].tobytes()
        whole = whole[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + whole[2:]
    whole += b"\xff\xda of a film, such as telephones append" if kind == "trailer" else b""
    path = tmp_path / "a.jpg"
    for length in (len(whole), len(whole) - 60, len(whole) // 2, len(whole) // 4, 30):
        path.write_bytes(whole[:length])
        try:
            expected = reading.read_image(str(path))
        except SampleError:
            expected = None
        given = read_image(str(path))
        assert (given is None) == (expected is None)
        assert given is None or (given == expected).all()
    path.write_bytes(whole)
    assert read_image(str(path)) is not None


def test_a_list_may_name_masks_and_names_may_hold_spaces(tmp_path, repository):
    image_files = runpy.run_path(str(repository / "deploy/infer.py"))["image_files"]
    folder = tmp_path / "my photos"
    folder.mkdir()
    for name in ("a b.jpg", "c.jpg"):
        (folder / name).write_bytes(b"")
    (folder / "list.txt").write_text("a b.jpg\n\nc.jpg c.png\n", encoding="utf-8")
    assert image_files(str(folder / "list.txt")) == [str(folder / "a b.jpg"), str(folder / "c.jpg")]


def test_masks_of_equal_names_are_kept_apart(repository):
    names = runpy.run_path(str(repository / "deploy/infer.py"))["mask_names"]
    assert names(["p/a/x.jpg", "p/b/x.jpg", "p/b/y.png"]) == ["a/x.png", "b/x.png", "b/y.png"]
    assert names(["p/x.jpg", "p/x.png", "p/z.png"]) == ["x.jpg.png", "x.png.png", "z.png"]
