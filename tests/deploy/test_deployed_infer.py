"""deploy/infer.py, which runs without the package: what it prepares, refuses and writes."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import paddle
import pytest
import tiny
from exporting import FORMATS, MODEL, assert_masks_of_the_training_code, export, infer_alone

from paddleseg.cvlibs import Config, SegBuilder


def zeros(batch):
    """Stand in for a model: class 0 everywhere."""
    return np.zeros((1, *batch.shape[2:]), "int32")


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--save_dir", "{file}/masks", "cannot make the folder"),
        ("--config", "{file}", "file is not a deploy.yaml as export.py writes it"),
        ("--config", "{file}.yaml", "file.yaml: No such file or directory"),
        ("--warmup", "-1", "'-1' is not a whole number of 0 or above"),
        ("--batch_size", "0", "'0' is not a whole number above 0"),
        ("--providers", "npu", "'npu' is none of cpu, cuda, tensorrt, openvino"),
        ("--benchmark", "maybe", "'maybe' is neither True nor False"),
        ("--cpu_threads", "x", "'x' is not a whole number of 0 or above"),
        ("--repeats", "5", "--repeats 5: without --benchmark each batch runs once; give it, too"),
        ("--cpu_threads", "99999", "99999 threads are more than the"),
    ],
)
def test_impossible_paths_and_numbers_are_refused(tmp_path, photos, infer, capsys, flag, value, message):
    (tmp_path / "file").write_bytes(b"\xff\x00")
    given = (flag, value.format(file=tmp_path / "file"))
    assert infer(zeros, photos(tmp_path / "photos", "a.jpg"), tmp_path / "masks", *given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("broken", [False, True])
def test_the_reader_of_the_output_may_end_first(tmp_path, trained, repository, broken):
    export(trained, tmp_path / "out")
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
    printed = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 141
    line = f"skipped {tmp_path / 'photos' / 'b.jpg'}: it is cut off, or not an image that OpenCV reads"
    assert printed.splitlines() == ([line] if broken else [])
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
    tiny.balance(network, network.head.bias, builder.val_dataset[0]["img"])
    weights = tiny.save_weights(tmp_path / "grey.pdparams", network)
    export((config, weights, root), tmp_path / "out", format=kind)
    infer_alone(repository, tmp_path / "out", os.path.join(root, "val_list.txt"), tmp_path / "masks")
    assert_masks_of_the_training_code(tmp_path / "masks", builder, network)


def test_the_first_image_that_can_be_read_warms_up(tmp_path, photos, infer, capsys):
    (photos(tmp_path / "photos", "b.png", "c.png") / "a.jpg").write_bytes(b"no image")
    shapes = []

    def model(batch):
        shapes.append(batch.shape)
        return zeros(batch)

    assert infer(model, tmp_path / "photos", tmp_path / "out", "--warmup", "3") == 2
    assert "1 of 3 images were skipped and have no mask" in capsys.readouterr().err
    assert shapes == [(1, 3, 8, 12)] * 5


@pytest.mark.parametrize(("flags", "runs"), [((), [3, 1]), (("--benchmark", "--repeats", "1"), [3, 3])])
def test_a_benchmark_warms_up_for_each_shape(tmp_path, photos, infer, flags, runs):
    """However often it repeats a batch."""
    cv2.imwrite(str(photos(tmp_path / "photos", "a.png") / "b.png"), np.full((8, 20, 3), 200, "uint8"))
    widths = []

    def model(batch):
        widths.append(batch.shape[3])
        return zeros(batch)

    assert infer(model, tmp_path / "photos", tmp_path / "out", "--warmup", "2", *flags) == 0
    assert [widths.count(12), widths.count(20)] == runs


def test_a_failure_for_one_image_does_not_end_the_others(tmp_path, infer, capsys):
    sizes = {"a": (8, 8), "b": (9, 8), "c": (8, 12), "d": (8, 8)}
    (tmp_path / "photos").mkdir()
    for name, size in sizes.items():
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), np.full((*size, 3), 200, "uint8"))

    def model(batch):
        if batch.shape[3] == 12:
            raise RuntimeError("no\nsuch   size")
        return zeros(batch)

    assert infer(model, tmp_path / "photos", tmp_path / "out", input_shape=[-1, 3, 8, -1]) == 2
    lines = capsys.readouterr().err.splitlines()
    skipped = f"skipped {tmp_path / 'photos'}"
    assert lines[0].startswith(f"{skipped}{os.sep}b.png: the model takes -1 x 8 (width x height")
    message = "the model does not run on an input of 1 x 3 x 8 x 12: no such size"
    assert lines[1:] == [
        f"{skipped}{os.sep}c.png: {message}",
        "error: 2 of 4 images were skipped and have no mask",
    ]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_color.png", "d.png", "d_color.png"]


def test_an_interrupt_ends_the_script_quietly(tmp_path, photos, infer, capsys):
    def interrupted(batch):
        raise KeyboardInterrupt

    assert infer(interrupted, photos(tmp_path / "photos", "a.jpg"), tmp_path / "out") == 130
    assert capsys.readouterr() == ("", "")
