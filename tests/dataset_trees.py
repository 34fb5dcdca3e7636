"""Small data sets in the layouts of the published ones, with a few pixels in every file."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def write_image(path, value=0):
    """Write an image whose pixels all have one value."""
    image = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"quality": 100} if path.suffix == ".jpg" else {}))


def write_mask(path, values, palette=False):
    """Write a mask that repeats `values`, row by row."""
    mask = np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if palette:
        image = image.convert("P")
        image.putdata(mask.ravel().tolist())
        image.putpalette([(i * 37) % 256 for i in range(768)])
    image.save(path)


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def cityscapes(root):
    """Write two cities for train, one with train ids as well, one city for val, and test without masks."""
    root = Path(root)
    for value, (split, city, number, endings) in enumerate(
        [
            ("train", "aachen", 0, ["labelIds"]),
            ("train", "aachen", 1, ["labelIds", "labelTrainIds", "color", "instanceIds"]),
            ("train", "zurich", 0, ["labelIds"]),
            ("val", "munster", 0, ["labelIds"]),
            ("test", "berlin", 0, []),
        ]
    ):
        stem = f"{split}/{city}/{city}_{number:06d}_000019"
        write_image(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", 10 + value)
        for ending in endings:
            values = [3, 18, 255] if ending == "labelTrainIds" else range(34)
            write_mask(root / "gtFine" / f"{stem}_gtFine_{ending}.png", values)
    return root


def ade20k(root):
    root = Path(root)
    for split, names in (("training", "ba"), ("validation", "c")):
        for value, name in enumerate(names):
            write_image(root / "images" / split / f"ADE_{name}.jpg", 10 + value)
            write_mask(root / "annotations" / split / f"ADE_{name}.png", [0, 1, 2, 150])
        (root / "images" / split / "index.txt").write_text("no image")
    return root


def pascal_voc(root):
    """Write images a and b for train, c for val, and d and e for the augmented list alone."""
    root = Path(root) / "VOC2012"
    for value, name in enumerate("abcde"):
        write_image(root / "JPEGImages" / f"{name}.jpg", 10 + value)
        own = "SegmentationClass" if name < "d" else "SegmentationClassAug"
        write_mask(root / own / f"{name}.png", [0, 20, 255], palette=name < "d")
    for split, names in (("train", "ab"), ("val", "c"), ("trainval", "abc"), ("aug", "de")):
        write_list(root / "ImageSets" / "Segmentation" / f"{split}.txt", names)
    return root.parent


def camvid(root):
    root = Path(root)
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        for value, name in enumerate(names):
            write_image(root / "images" / f"{name}.jpg", 10 + value)
            if split != "test":
                write_mask(root / "labels" / f"{name}.png", [0, 10, 255])
        masks = "" if split == "test" else " labels/{0}.png"
        write_list(root / f"{split}_list.txt", [f"images/{{0}}.jpg{masks}".format(name) for name in names])
    return root


TREES = {"Cityscapes": cityscapes, "ADE20K": ade20k, "PascalVOC": pascal_voc, "CamVid": camvid}


def listed(root, num_classes, lists):
    """Write two pairs for a `Dataset`; `lists` are the names of the files that list them."""
    for i in range(2):
        write_image(root / "JPEGImages" / f"{i}.jpg", i)
        write_mask(root / "Annotations" / f"{i}.png", range(num_classes))
    for name in lists:
        write_list(root / name, [f"JPEGImages/{i}.jpg Annotations/{i}.png" for i in range(2)])


def write_tree(root, section):
    """Write what the data set of a config's section reads; return the overrides that point it there.

    Args:
        root: a folder, made if it is missing.
        section: the config's `train_dataset` or `val_dataset`.
    """
    lists = {key: os.path.basename(value) for key, value in section.items() if key.endswith("_path")}
    if section["type"] in TREES:
        TREES[section["type"]](root)
    else:
        names = [*lists.values(), "train_list.txt", "val_list.txt"]
        listed(Path(root), section.get("num_classes", 2), names)
    return {"dataset_root": root, **{key: f"{root}/{name}" for key, name in lists.items()}}
