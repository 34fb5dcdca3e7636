"""The published data sets in small: the folders and names of each, with a few pixels in every file."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def write_image(path, value=0):
    """An image whose first pixel tells which one it is."""
    image = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"quality": 100} if path.suffix == ".jpg" else {}))


def write_mask(path, values, palette=False):
    """A mask of `values`, over and over, row by row."""
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
    """Two cities for train, one with train ids as well; one for val; test without masks."""
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
    """Images a and b to train, c to validate, d and e annotated by the other set only."""
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
