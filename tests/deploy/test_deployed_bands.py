"""Images of more bands or bits: training, prediction and deploy/infer.py read the same."""

import os
import sys

import cv2
import numpy as np
import paddle
import pytest
import tiny
from exporting import MODEL, assert_masks_of_the_training_code, deploy_section, export

from paddleseg.cvlibs import Config, SegBuilder

RNG = np.random.default_rng(5)
KINDS = {
    "five bands": ("npy", 5, "float32", [-1, 3]),
    "uint16": ("png", 3, "uint16", [0, 4095]),
    "int16, grey": ("tif", 1, "int16", [-1000, 1000]),
    "uint16, own range": ("tif", 3, "uint16", None),
    "four of 8 bits": ("tif", 4, "uint8", None),
}


def values(mask, bands, dtype, img_range):
    """Return an image whose classes differ in brightness by little, H x W x bands."""
    info = None if dtype == "float32" else np.iinfo(dtype)
    low, high = img_range or (int(info.min), int(info.max))
    share = 0.3 * RNG.random((*mask.shape, bands)) + 0.05 * mask[..., np.newaxis] + 0.2
    return (low + share * (high - low)).astype(dtype)


def write(path, image):
    if path.endswith(".npy"):
        np.save(path, image)
    else:
        assert cv2.imwrite(path, image)


@pytest.fixture
def root(tmp_path):
    return tiny.write_optic_disc(tmp_path / "data", train=4, val=3)


def section(root, mode, kind):
    """Write the images of a data set anew, and return its section."""
    ending, bands, dtype, img_range = KINDS[kind]
    with open(f"{root}/{mode}_list.txt", encoding="utf-8") as file:
        pairs = [line.split() for line in file]
    for image, mask in pairs:
        labels = cv2.imread(f"{root}/{mask}", cv2.IMREAD_UNCHANGED)
        write(f"{root}/{os.path.splitext(image)[0]}.{ending}", values(labels, bands, dtype, img_range))
    lines = [f"{os.path.splitext(image)[0]}.{ending} {mask}" for image, mask in pairs]
    with open(f"{root}/{mode}.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return {
        "type": "Dataset",
        "dataset_root": root,
        f"{mode}_path": f"{root}/{mode}.txt",
        "num_classes": 2,
        "img_channels": bands,
        **({} if img_range is None else {"img_range": img_range}),
        "transforms": [{"type": "Resize", "target_size": [32, 32]}, {"type": "Normalize"}],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_training_prediction_and_deployment_see_the_same(tmp_path, root, deployed, kind, capsys, monkeypatch):
    sections = {f"{mode}_dataset": section(root, mode, kind) for mode in ("train", "val")}
    config = tiny.write_yaml(tmp_path / "c.yml", {**tiny.config(root, MODEL, distill=False), **sections})
    tiny.train(config, save_dir=str(tmp_path / "run"), iters=2, save_interval=2)
    assert "WARNING" not in capsys.readouterr().out
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    network = builder.model
    assert network.backbone.conv._conv.weight.shape[1] == KINDS[kind][1]
    paddle.seed(3)
    network.eval()
    tiny.balance(network, network.head.bias, builder.val_dataset[0]["img"])
    weights = tiny.save_weights(tmp_path / "w.pdparams", network)
    tiny.predict(
        [config], image_path=[f"{root}/val.txt"], model_path=[weights], save_dir=str(tmp_path / "result")
    )
    assert len(os.listdir(tmp_path / "result" / "added_prediction" / "JPEGImages")) == 3
    export((config, weights, root), tmp_path / "out")
    assert deploy_section(tmp_path / "out").get("img_range") == KINDS[kind][3]
    paths = {"config": f"{tmp_path}/out/deploy.yaml", "image_path": f"{root}/val.txt"}
    flags = [f"--{name}={path}" for name, path in paths.items()]
    monkeypatch.setattr(sys, "argv", ["infer.py", *flags, f"--save_dir={tmp_path}/masks"])
    deployed.main()
    assert_masks_of_the_training_code(tmp_path / "masks", builder, network)


def test_a_cache_of_images_keeps_the_depth_and_knows_the_range(tmp_path, root):
    train = section(root, "train", "uint16")
    for img_range in ([0, 4095], [0, 65535]):
        config = {
            **tiny.config(root, MODEL, distill=False),
            "train_dataset": {**train, "img_range": img_range},
        }
        path = tiny.write_yaml(tmp_path / "c.yml", {k: v for k, v in config.items() if k != "val_dataset"})
        plain, cached = (str(tmp_path / f"{name}_{img_range[1]}") for name in ("plain", "cached"))
        tiny.train(path, save_dir=plain, iters=3, save_interval=3)
        for run in (cached, f"{cached}_again"):
            folder = str(tmp_path / "images")
            tiny.train(
                path, save_dir=run, iters=3, save_interval=3, cache_images="disk", cache_images_dir=folder
            )
            for ours, theirs in zip(
                *(tiny.flat_arrays(f"{f}/iter_3/model.pdparams").values() for f in (plain, run))
            ):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("wrong", [[5, 5], [1], "x", [2, 1]])
def test_a_range_that_is_none_is_refused(tmp_path, photos, infer, capsys, wrong):
    images = photos(tmp_path / "photos", "a.png")
    assert infer(lambda batch: batch, images, tmp_path / "masks", img_range=wrong) == 2
    assert "img_range must be [low, high], two numbers" in capsys.readouterr().err


def test_alpha_bands_are_said_once_and_other_fourth_bands_are_refused(tmp_path, infer, capsys):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), RNG.integers(0, 256, (8, 8, 4), dtype=np.uint8))
    np.save(tmp_path / "c.npy", np.zeros((8, 8, 4), np.uint8))
    (tmp_path / "list.txt").write_text("photos/a.png\nphotos/b.png\nc.npy\n")
    model = lambda batch: np.zeros((1, *batch.shape[2:]), "int32")  # noqa: E731
    assert infer(model, tmp_path / "list.txt", tmp_path / "masks") == 2
    err = capsys.readouterr().err
    assert err.count("alpha bands of images are left out, as in training") == 1
    assert f"skipped {tmp_path / 'c.npy'}: it has 4 bands, and img_channels is 3" in err
    assert "1 of 3 images were skipped" in err


def test_an_image_of_12_bits_without_a_range_is_asked_about(tmp_path, infer, capsys):
    (tmp_path / "photos").mkdir()
    ramp = np.arange(8 * 8, dtype=np.uint16).reshape(8, 8) * 64
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), ramp)
    model = lambda batch: np.zeros((1, *batch.shape[2:]), "int32")  # noqa: E731
    for values, asked in ((None, True), ([0, 4095], False)):
        assert infer(model, tmp_path / "photos", tmp_path / "masks", img_range=values) == 0
        assert ("uses little of the range of its 16 bits" in capsys.readouterr().err) is asked
