"""Photographs and deployed images are prepared as those of the training, also where only it states how."""

import os

import cv2
import numpy as np
import paddle
import pytest
import tiny
import yaml
from exporting import deploy_section, export
from predicting import indices, predict_with

from paddleseg.cvlibs import Config, SegBuilder

RESIZE = {"type": "Resize", "target_size": [40, 28]}
IMAGENET = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture
def two(tmp_path):
    """(config, weights) with a `val_dataset`, and the same without it; and a folder of data."""
    root = tiny.write_optic_disc(tmp_path / "data")
    dic = tiny.config(root)
    dic["train_dataset"]["transforms"] = [RESIZE, {"type": "RandomHorizontalFlip"}, IMAGENET]
    dic["val_dataset"]["transforms"] = [RESIZE, IMAGENET]
    whole = tiny.write_yaml(tmp_path / "whole.yml", dic)
    paddle.seed(3)
    builder = SegBuilder(Config(whole, sections=("model", "val_dataset")))
    builder.model.eval()
    tiny.balance(builder.model, builder.model.heads[0].bias, builder.val_dataset[0]["img"])
    weights = tiny.save_weights(tmp_path / "w.pdparams", builder.model)
    del dic["val_dataset"]
    return (whole, weights), (tiny.write_yaml(tmp_path / "without.yml", dic), weights), root


def test_masks_without_val_dataset_are_those_with_it(tmp_path, two, lines):
    *models, root = two
    predict_with(models, [os.path.join(root, "val_list.txt")], tmp_path / "out")
    said = [line for line in lines if "images are prepared as in training" in line]
    assert len(said) == 1
    assert "without.yml" in said[0]
    assert "without RandomHorizontalFlip" in said[0]
    folders = [tmp_path / "out" / name / "pseudo_color_prediction" for name in ("whole", "without")]
    names = [os.path.join(place, name) for place, _, files in os.walk(folders[0]) for name in files]
    assert len(names) == 5
    for name in names:
        mask = indices(name)
        assert set(mask.flat) == {0, 1}
        assert (mask == indices(os.path.join(folders[1], os.path.relpath(name, folders[0])))).all()


def test_a_deployment_without_val_dataset_has_the_transforms_of_the_training(tmp_path, two, lines):
    export(two[1], tmp_path / "out")
    assert deploy_section(tmp_path / "out")["transforms"] == [RESIZE, IMAGENET]
    assert len([line for line in lines if "images are prepared as in training" in line]) == 1


def test_grey_images_of_a_training_stay_grey(tmp_path, columns):
    config, weights = columns("grey", channels=1, img_channels=1)
    with open(config, encoding="utf-8") as file:
        dic = yaml.safe_load(file)
    dic["train_dataset"] = {**dic.pop("val_dataset"), "train_path": "nowhere"}
    config = tiny.write_yaml(tmp_path / "grey.yml", dic)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((12, 16), np.uint8))
    predict_with([(config, weights)], [tmp_path / "a.png"], tmp_path / "out")
    assert indices(tmp_path / "out/pseudo_color_prediction/a.png")[0].tolist() == [0] * 8 + [1] * 8


def test_another_normalisation_is_warned_of_wherever_it_counts(tmp_path, two, lines):
    (whole, weights), _, root = two
    with open(whole, encoding="utf-8") as file:
        dic = yaml.safe_load(file)
    dic["val_dataset"]["transforms"] = [RESIZE, {"type": "Normalize"}]
    config = tiny.write_yaml(tmp_path / "other.yml", dic)
    runs = (
        lambda: predict_with([(config, weights)], [os.path.join(root, "val_list.txt")], tmp_path / "out"),
        lambda: export((config, weights), tmp_path / "exported"),
        lambda: tiny.evaluate(config, weights),
        lambda: tiny.train(config, save_dir=str(tmp_path / "run"), iters=1),
    )
    for run in runs:
        lines.clear()
        run()
        said = [line for line in lines if "other values than it was trained on" in line]
        assert len(said) == 1, lines
        assert said[0].count("other.yml:") == 2
