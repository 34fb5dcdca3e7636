"""Data sets in the layout of Pascal VOC, as labelme's labelme2voc.py and CVAT write it too."""

import os

import numpy as np

from paddleseg.annotations.classes import IGNORE_INDEX, IGNORED_LABELS
from paddleseg.annotations.conversion import publish, upright_size
from paddleseg.annotations.lists import ALL, CLASS_NAMES, TRAIN, TRAIN_AUG, VAL
from paddleseg.annotations.new_data_set import NewDataSet, check_name
from paddleseg.annotations.recolour import VOC_COLORS, read_class_mask, read_colors
from paddleseg.annotations.records import AnnotationError, Faults
from paddleseg.datasets.pascal_voc import PascalVOC
from paddleseg.errors import UserError, counted
from paddleseg.transforms.reading import read_bytes
from paddleseg.utils.image_files import SUFFIXES, read_names
from paddleseg.utils.progress_bar import bar

LISTS, IMAGES, LABEL_MAP = "ImageSets/Segmentation", "JPEGImages", "labelmap.txt"
MASKS, AUGMENTED = ("SegmentationClass", "SegmentationClassPNG"), ("SegmentationClassAug",)


def convert_voc(root, save_dir, options):
    """Convert a data set in the layout of Pascal VOC.

    The lists are those of ImageSets/Segmentation: train.txt, val.txt, and aug.txt, which adds images to those
    of train in trainaug.txt. Without these, it is CVAT's default.txt.

    Args:
        root: the folder that holds JPEGImages, SegmentationClass and ImageSets/Segmentation, or VOC2012 with
            these in it.
        save_dir: the folder of the new data set.
        options: `VocOptions`.

    Returns:
        Lines: how many images are in each list, and what was left out.

    Raises:
        UserError: there is no list, or something is wrong with a file and `options.skip_bad` is off; nothing
            is written.
    """
    inner = os.path.join(root, "VOC2012")
    root = inner if os.path.isdir(inner) else root
    stems, mask_folders, notes = _stems(root)
    colors, names = _classes(root, options.class_list)
    faults, pair_of = Faults(), {}
    with NewDataSet(save_dir, options.link_images) as data_set:
        for stem in bar(mask_folders, label="converting"):
            with faults.caught("unusable image"):
                check_name(stem)
                image = _existing(root, (IMAGES,), stem, SUFFIXES)
                content = read_bytes(image, "image")
                mask = _existing(root, mask_folders[stem], stem, (".png",))
                classes = _class_mask(mask, colors, names, upright_size(content, image))
                name = stem + os.path.splitext(image)[1]
                pair_of[stem] = data_set.add(name, classes, content, image)
        lists = {name: [pair_of[stem] for stem in of if stem in pair_of] for name, of in stems.items()}
        publish(data_set, lists, names, faults, options.skip_bad)
    heads = [
        f"{os.path.join(save_dir, name)}: {counted(len(pairs), 'image')}" for name, pairs in lists.items()
    ]
    return [*heads, *faults.left_out(), *(f"note: {line}" for line in notes)]


def _stems(root):
    """Return the names of images in each list to be, the folders of each one's mask, and notes."""
    folder = os.path.join(root, LISTS)
    known = {}
    for name in (TRAIN, VAL, "aug.txt", "default.txt"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            known[name] = [line.split()[0] for line in read_names(path)]
    if not known.keys() & {TRAIN, VAL, "default.txt"}:
        raise UserError(f"there is no {TRAIN}, {VAL} or default.txt in {folder!r}")
    augmented = known.pop("aug.txt", None)
    if "default.txt" in known:
        known[ALL] = known.pop("default.txt")
    folders = {stem: MASKS for stems in known.values() for stem in stems}
    notes = []
    if augmented is not None:
        train, val = set(known.get(TRAIN, ())), set(known.get(VAL, ()))
        added = [stem for stem in augmented if stem not in train | val]
        folders.update((stem, AUGMENTED) for stem in added)
        known[TRAIN_AUG] = [*known.get(TRAIN, ()), *added]
        leaks = sum(stem in val for stem in augmented)
        if leaks:
            notes.append(f"images of aug.txt that are in {VAL}, and left out of {TRAIN_AUG}: {leaks}")
    return known, folders, notes


def _classes(root, class_list):
    """Return the `Colors` of masks of colours, and the names of the classes."""
    label_map, names = os.path.join(root, LABEL_MAP), os.path.join(root, CLASS_NAMES)
    colors = read_colors(label_map) if os.path.isfile(label_map) else VOC_COLORS
    if class_list or os.path.isfile(names):
        lines = read_names(class_list or names)
        return colors, [line for line in lines if line not in IGNORED_LABELS]
    return colors, list(colors.names or PascalVOC.CLASS_NAMES)


def _existing(root, folders, stem, suffixes):
    paths = [os.path.join(root, folder, stem + suffix) for folder in folders for suffix in suffixes]
    path = next((path for path in paths if os.path.isfile(path)), None)
    if path is None:
        raise AnnotationError(
            "missing file", f"there is no {os.path.join(root, folders[0], stem)!r} (as {', '.join(suffixes)})"
        )
    return path


def _class_mask(path, colors, names, size):
    mask = read_class_mask(path, colors)
    if mask.shape != size:
        raise AnnotationError(
            "wrong size",
            f"the mask {path!r} is {mask.shape[1]} x {mask.shape[0]}, its image {size[1]} x {size[0]}",
        )
    unknown = [value for value in np.unique(mask).tolist() if value >= len(names) and value != IGNORE_INDEX]
    if unknown:
        shown = ", ".join(map(str, unknown[:10]))
        raise AnnotationError(
            "unknown label", f"the mask {path!r} holds {shown}, and the classes are 0..{len(names) - 1}"
        )
    return mask.astype(np.uint8)
