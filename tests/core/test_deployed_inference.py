"""deploy/infer.py, which stands without the package: what it prepares, refuses and writes."""

import os
import platform
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import paddle
import pytest
import tiny
from exporting import FORMATS, MODEL, PADDLE_3, flags, infer

from paddleseg.core.export import export
from paddleseg.core.predict import predict
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.utils import cpu


@pytest.fixture(scope="module")
def deployed(deployment):
    """deploy/infer.py, as a module."""
    return deployment("infer")


@pytest.fixture(scope="module")
def transforms(deployment):
    """deploy/transforms.py, as a module."""
    return deployment("transforms")


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
def test_a_deployed_image_is_prepared_as_in_training(transforms, spec):
    from paddleseg.cvlibs.builder import build_transforms
    from paddleseg.transforms import Compose

    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype("uint8")
    ours = Compose(build_transforms([spec]))({"img": image})["img"]
    theirs = transforms.prepared(image[..., ::-1], [transforms.step(spec)])[0]  # RGB, as it is read
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([{"type": "RandomDistort"}], "RandomDistort is not one that infer.py knows"),
        ([{"type": "Resize", "interp": "FOO"}], "'FOO'; it takes .*interp='LINEAR'"),
        ([{"type": "Resize", "size": [8, 8]}], "unexpected keyword argument 'size'; it takes .target_size="),
        ([{"type": "Resize", "target_size": 8}], "of the deploy.yaml: .*; it takes .target_size="),
        ([{"type": "ResizeByLong"}], "'long_size'; it takes .long_size."),
        ([{"target_size": [8, 8]}], "must be a list of `type: ...`"),
        (["Resize"], "must be a list of `type: ...`"),
        (None, "must be a list of `type: ...`, not None"),
    ],
)
def test_transforms_of_a_deployment_that_are_wrong_are_told(transforms, given, told):
    with pytest.raises(transforms.UserError, match=told):
        transforms.steps_of(given)


def test_transforms_that_do_not_suit_an_image_are_told(transforms):
    steps = transforms.steps_of([{"type": "Normalize", "mean": [0.5, 0.5]}])
    with pytest.raises(transforms.UserError, match="do not suit the image: operands could not be broadcast"):
        transforms.prepared(np.zeros((8, 9, 3), "uint8"), steps)


def test_a_broken_image_is_passed_over_and_said(
    tmp_path, trained, repository, capsys, monkeypatch, deployment
):
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
def test_what_a_deployment_refuses(
    tmp_path, trained, repository, capsys, monkeypatch, deployment, flag, value, told
):
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


def test_probabilities_give_the_classes_of_their_logits_at_any_size(deployed):
    mask_of = deployed.mask_of
    logits = 4 * np.random.default_rng(0).standard_normal((1, 5, 16, 24)).astype("float32")
    likely = np.exp(logits - logits.max(1, keepdims=True))
    masks = [
        mask_of(output, (61, 83), op)
        for output, op in ((logits, "none"), (likely / likely.sum(1, keepdims=True), "softmax"))
    ]
    np.testing.assert_array_equal(*masks)
    assert set(np.unique(masks)) == set(range(5))


def test_probabilities_that_are_0_are_no_trouble(deployed):
    # Logits so far apart that float32 holds no such probability; at the graph's size classes are the same.
    logits = 300 * np.random.default_rng(0).standard_normal((1, 5, 16, 24)).astype("float32")
    likely = np.exp(logits - logits.max(1, keepdims=True))
    assert (likely == 0).any()
    with np.errstate(all="raise", under="ignore"):
        mask = deployed.mask_of(likely / likely.sum(1, keepdims=True), (16, 24), "softmax")
    np.testing.assert_array_equal(mask, logits[0].argmax(0))


def test_nothing_is_written_over_a_photograph_or_another_mask(tmp_path, deployed):
    refuse, names = deployed.refuse_overwriting, deployed.mask_names
    photos = [str(tmp_path / name) for name in ("x.png", "y.jpg")]

    def masks(folder, files):
        return [str(folder / name) for name in names(files)]

    refuse(photos, masks(tmp_path / "masks", photos))
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for folder in (tmp_path, tmp_path / "masks" / "..", tmp_path / "link"):
        with pytest.raises(deployed.UserError, match=r"x\.png would be written over a photograph"):
            refuse(photos, masks(folder, photos))
    # Of lists, whose images may have any names.
    odd = [str(tmp_path / name) for name in ("x.jpg", "x_color")]
    with pytest.raises(deployed.UserError, match=r"x_color\.png would be written over"):
        refuse(odd, masks(tmp_path / "masks", odd))
    seen = [str(tmp_path / "x_color.png"), str(tmp_path / "z" / "y.jpg")]
    with pytest.raises(deployed.UserError, match=r"x_color\.png would be written over a photograph"):
        refuse(seen, [str(tmp_path / "x.png")])


@pytest.mark.parametrize("broken", [False, True])
def test_whoever_reads_may_go_before_anything_is_told(tmp_path, trained, repository, broken):
    export(flags(trained, tmp_path / "out"))
    (tmp_path / "photos").mkdir()
    shutil.copy(os.path.join(trained[2], "JPEGImages", "val_0.jpg"), tmp_path / "photos" / "a.jpg")
    if broken:
        (tmp_path / "photos" / "b.jpg").write_bytes(b"no image")
    command = [
        sys.executable,
        repository / "deploy" / "infer.py",
        "--config",
        tmp_path / "out" / "deploy.yaml",
    ]
    command += ["--image_path", tmp_path / "photos", "--save_dir", tmp_path / "masks"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 141
    assert [line.split(":")[0] for line in told.splitlines()] == (
        ["passed over, cut off or no image that OpenCV reads"] if broken else []
    )
    assert sorted(os.listdir(tmp_path / "masks")) == ["a.png", "a_color.png"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_grey_model_gives_the_masks_of_the_training_code(tmp_path, repository, kind):
    root = tiny.write_optic_disc(tmp_path / "data")
    model = {**MODEL, "backbone": {**MODEL["backbone"], "in_channels": 1}}
    dic = tiny.config(root, model)
    dic["val_dataset"] = {
        "type": "Dataset",
        "mode": "val",
        "dataset_root": root,
        "val_path": os.path.join(root, "val_list.txt"),
        "num_classes": 2,
        "img_channels": 1,
        "transforms": [{"type": "Normalize", "mean": [0.4], "std": [0.3]}],
    }
    config = tiny.write_yaml(tmp_path / "grey.yml", dic)
    paddle.seed(3)
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    network = builder.model
    network.eval()
    tiny.balance(network, network.head.decoder.conv.bias, builder.val_dataset[0]["img"])
    weights = tiny.save_weights(tmp_path / "grey.pdparams", network)
    export(flags((config, weights, root), tmp_path / "out", format=kind))
    infer(repository, tmp_path / "out", os.path.join(root, "val_list.txt"), tmp_path / "masks")
    classes = set()
    for i, (image, _) in enumerate(builder.val_dataset.file_list):
        ours = predict(network, builder.val_dataset.sample(i)["img"], (tiny.SIZE, tiny.SIZE))
        name = os.path.splitext(os.path.basename(image))[0]
        theirs = cv2.imread(str(tmp_path / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(theirs, ours)
        classes |= set(np.unique(ours))
    assert classes == {0, 1}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_model_that_cannot_be_loaded_is_told(tmp_path, trained, deployment, kind):
    given = tiny.arguments(device="cpu", cpu_threads=1)
    engines, folder = deployment("engines"), tmp_path / "out"
    export(flags(trained, folder, format=kind))
    names = {"paddle": ("model.json", "model.pdiparams"), "onnx": ("model.onnx",)}[kind]
    if not PADDLE_3 and kind == "paddle":
        names = ("model.pdmodel", "model.pdiparams")
    deploy = dict(zip(("model", "params"), names))
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(engines.UserError, match=f"{names[0]} cannot be loaded; is it cut off"):
            engines.open_model(deploy, str(folder), given)
        (folder / name).unlink()
        with pytest.raises(
            engines.UserError, match=f"there is no file .*{name}, which the deploy.yaml names"
        ):
            engines.open_model(deploy, str(folder), given)
        (folder / name).write_bytes(whole)
    assert engines.open_model(deploy, str(folder), given)(np.zeros((1, 3, 32, 32), "float32")).shape == (
        1,
        32,
        32,
    )


def test_a_model_of_other_channels_is_refused(deployed):
    shape = deployed.input_shape
    assert (shape({"input_shape": [-1, 1, -1, -1]})[1], shape({})[1]) == (1, 3)
    with pytest.raises(deployed.UserError, match="the model takes images of 4 channels, and infer.py"):
        shape({"input_shape": [1, 4, 32, 32]})
    with pytest.raises(deployed.UserError, match="input_shape must be N, C, H and W, whole numbers, not 'x'"):
        shape({"input_shape": "x"})
    with pytest.raises(deployed.UserError, match="the model takes 2 images at once"):
        shape({"input_shape": [2, 3, 32, 32]})


def test_an_image_of_another_size_than_the_models_is_refused(deployed):
    batch = np.zeros((1, 3, 24, 32), "float32")
    for shape in ([-1, 3, -1, -1], [1, 3, 24, 32], [1, 3, -1, 32]):
        deployed.check_size(batch, shape, "a.png")
    told = "a.png: the model takes 32 x 48 .*, and after the deploy.yaml's transforms this image has 32 x 24"
    with pytest.raises(deployed.UserError, match=told):
        deployed.check_size(batch, [1, 3, 48, 32], "a.png")


def test_the_clock_starts_after_the_warm_up_whatever_image_comes_first(tmp_path, deployed, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    for name in ("b.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 200, "uint8"))
    deploy = tiny.write_yaml(tmp_path / "deploy.yaml", {"Deploy": {"model": "m", "transforms": []}})
    runs = []

    def opened(*_):
        return lambda batch: runs.append(batch.shape) or np.zeros((1, 8, 8), "int32")

    monkeypatch.setattr(deployed, "open_model", opened)
    given = tiny.arguments(
        config=deploy,
        image_path=str(tmp_path),
        save_dir=str(tmp_path / "out"),
        warmup=3,
    )
    with pytest.raises(deployed.UserError, match="1 of 3 images could not be read"):
        deployed.infer(given)
    assert runs == [(1, 3, 8, 8)] * 5


CPUINFO = {
    "amd": b"processor : 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2 bmi1\n",
    "flag last": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2\n",
    "hygon": b"vendor_id\t: HygonGenuine\nflags\t\t: fpu avx2 bmi1\n",
    "no colon": b"flags\nvendor_id\t: AuthenticAMD\nmodel name\t: caf\xe9\nflags\t\t: avx2\n",
    "intel": b"vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 bmi1\nmodel name: no AuthenticAMD\n",
    "old amd": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx\n",
    "other flag": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2x\nbugs\t\t: avx2\n",
    "first core": b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu\n\nflags\t\t: avx2\n",
    "arm": b"Features\t: fp asimd\n",
    "empty": b"",
    "gone": None,
}


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64"])
@pytest.mark.parametrize("kind", CPUINFO)
def test_mkl_leaves_the_avx2_of_the_same_processors_alone_as_in_training(
    tmp_path, deployment, monkeypatch, kind, machine
):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    path = tmp_path / "cpuinfo"
    if CPUINFO[kind] is not None:
        path.write_bytes(CPUINFO[kind])
    expected = kind in ("amd", "flag last", "hygon", "no colon") and machine != "aarch64"
    assert deployment("engines").slow_in_mkl(str(path)) == bool(cpu.slow_in_mkl(str(path))) == expected
