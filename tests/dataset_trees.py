"""Two images and masks in the layout of each data set that the published configs name."""

import os

import cv2
import numpy as np


def _write(path, height, width, classes=None, seed=0):
    """Write a noise image, or a mask of `classes` in blocks, and make its folder."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rng = np.random.default_rng(seed)
    if classes is None:
        pixels = rng.integers(0, 256, (height, width, 3))
    else:
        pixels = np.kron(rng.integers(0, classes, (height // 8, width // 8)), np.ones((8, 8), int))
    assert cv2.imwrite(path, pixels.astype("uint8"))


def _list(path, lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def cityscapes(root):
    for split in ("train", "val"):
        for i in range(2):
            name = f"town/town_00000{i}_000019"
            _write(f"{root}/leftImg8bit/{split}/{name}_leftImg8bit.png", 72, 96, seed=i)
            _write(f"{root}/gtFine/{split}/{name}_gtFine_labelTrainIds.png", 72, 96, 19, seed=i)


def pascal_voc(root):
    home = f"{root}/VOC2012"
    for i in range(4):
        _write(f"{home}/JPEGImages/{i}.jpg", 72, 96, seed=i)
        _write(f"{home}/SegmentationClass/{i}.png", 72, 96, 21, seed=i)
        _write(f"{home}/SegmentationClassAug/{i}.png", 72, 96, 21, seed=i)
    for split, names in (("train", "01"), ("val", "23"), ("trainval", "0123"), ("aug", "01")):
        _list(f"{home}/ImageSets/Segmentation/{split}.txt", names)


def listed(root, classes, lists):
    """A `Dataset` of `classes`; `lists` are the names of the files that list its pairs."""
    for i in range(2):
        _write(f"{root}/JPEGImages/{i}.jpg", 72, 96, seed=i)
        _write(f"{root}/Annotations/{i}.png", 72, 96, classes, seed=i)
    for name in lists:
        _list(f"{root}/{name}", [f"JPEGImages/{i}.jpg Annotations/{i}.png" for i in range(2)])


def write_tree(root, section):
    """Write what the data set of a config's section reads; return the overrides that point it there.

    Args:
        root: a folder, made if it is not there.
        section: the config's `train_dataset` or `val_dataset`.
    """
    lists = {key: os.path.basename(value) for key, value in section.items() if key.endswith("_path")}
    if section["type"] == "Cityscapes":
        cityscapes(root)
    elif section["type"] == "PascalVOC":
        pascal_voc(root)
    else:
        listed(root, section.get("num_classes", 2), [*lists.values(), "train_list.txt", "val_list.txt"])
    return {"dataset_root": root, **{key: f"{root}/{name}" for key, name in lists.items()}}
