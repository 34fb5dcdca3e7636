"""The text files of a data set: lists of its images and masks, names of its classes, and a config."""

import os

import yaml

from paddleseg.cvlibs import Config
from paddleseg.datasets import check_data
from paddleseg.datasets.dataset import read_list
from paddleseg.errors import UserError
from paddleseg.utils.image_files import named_images, read_names

ALL, TRAIN, VAL, TEST = "all.txt", "train.txt", "val.txt", "test.txt"
TRAIN_AUG = "trainaug.txt"  # named as the mode of `PascalVOC`
CONFIG, CLASS_NAMES = "dataset.yml", "class_names.txt"
_MODES = {TRAIN_AUG: "train", TRAIN: "train", ALL: "train", VAL: "val"}
_PREPARATION = {
    "train": [
        {"type": "RandomPaddingCrop", "crop_size": [512, 512]},
        {"type": "RandomHorizontalFlip"},
        {"type": "Normalize"},
    ],
    "val": [{"type": "Normalize"}],
}


def separator_of(pairs):
    """Return what stands between image and mask in a list: a space, or a tab if names hold spaces."""
    return "\t" if any(" " in name for pair in pairs for name in pair) else " "


def list_files(folder, lists, class_names=(), num_classes=None, img_channels=3):
    """Return the text files of a data set, {name: text}.

    Args:
        folder: the data set.
        lists: {name of a list: list of [image, mask], relative to the folder}. The config trains on the
            augmented list, if there is one, or else on that of train, or else on that of all images.
        class_names: the names of the classes. Default: they have none.
        num_classes: their number. Default: that of the names.
        img_channels: the channels of the images. Default 3.
    """
    separator = separator_of([pair for pairs in lists.values() for pair in pairs])
    files = {name: "".join(f"{separator.join(pair)}\n" for pair in pairs) for name, pairs in lists.items()}
    built = {}
    for name, mode in _MODES.items():
        if name in lists and f"{mode}_dataset" not in built:
            section = {"type": "Dataset", "dataset_root": folder, f"{mode}_path": os.path.join(folder, name)}
            if separator != " ":
                section["separator"] = separator
            section["num_classes"] = num_classes or len(class_names)
            if class_names:
                section["class_names"] = list(class_names)
            if img_channels != 3:
                section["img_channels"] = img_channels
            built[f"{mode}_dataset"] = {**section, "transforms": _PREPARATION[mode]}
    if class_names:
        files[CLASS_NAMES] = "".join(f"{name}\n" for name in class_names)
    # One transform a line, and lists of numbers within the line.
    files[CONFIG] = yaml.dump(
        built, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return files


class _PlainDumper(yaml.SafeDumper):
    """Repeats a part that occurs twice, as people read it more easily than an alias."""

    def ignore_aliases(self, data):
        return True


def summary(folder, num_threads=4):
    """Return the lines on a data set: what `tools/check_dataset.py` says of it, and its sections of a config.

    Args:
        folder: the data set, with the files of `list_files`.
        num_threads: how many files are read at the same time. Default 4.
    """
    path = os.path.join(folder, CONFIG)
    report = check_data.check_config(Config(path, sections=check_data.SECTIONS), num_threads)
    with open(path, encoding="utf-8") as file:
        text = file.read().rstrip("\n")
    head = f"To train on it, paste this into a config, or give the config the line `_base_: {path}`:"
    return [*check_data.lines(report), "", head, "", text]


def names_in(folder):
    """Return the names of the classes of a data set; [] if it has no file of them."""
    path = os.path.join(folder, CLASS_NAMES)
    return read_names(path) if os.path.isfile(path) else []


def pairs_in(folder, options):
    """Return [image, mask] of each sample of a data set, relative to its folder.

    They are those of the list `options.file_list`, else of the list `ALL`. If there is none, the images in
    `options.image_dir` are paired with the masks in `options.mask_dir` that have their names.

    Args:
        folder: the data set.
        options: `PairOptions`.

    Raises:
        UserError: a folder is missing or empty, or an image has no mask.
    """
    if not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder!r}")
    path = options.file_list or os.path.join(folder, ALL)
    if options.file_list or os.path.isfile(path):
        separator = "\t" if any("\t" in line for line in read_names(path)) else " "
        return [
            [os.path.relpath(part, folder).replace(os.sep, "/") for part in pair]
            for pair in read_list(path, folder, separator)
        ]
    images, masks = (named_images(os.path.join(folder, one)) for one in (options.image_dir, options.mask_dir))
    mask_of = {mask.name: f"{options.mask_dir}/{mask.relative}" for mask in masks}
    without = [image.relative for image in images if image.name not in mask_of]
    if without:
        raise UserError(
            f"images of {options.image_dir!r} without a mask of their name in {options.mask_dir!r}: "
            f"{len(without)}, the first is {without[0]!r}"
        )
    return [[f"{options.image_dir}/{image.relative}", mask_of[image.name]] for image in images]


def usual_channels(header):
    """Return the `img_channels` of an image: the bands of a TIFF or an array, but 3 if it is grey; else 3."""
    bands = header.bands - header.alpha
    return bands if header.kind in ("tiff", "npy") and bands not in (0, 1) else 3
