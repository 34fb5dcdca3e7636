"""Masks to files of labelme, for example to correct a model's masks by hand."""

import json
import os

import cv2
import numpy as np

from paddleseg.annotations.classes import BACKGROUNDS, IGNORE_INDEX, IGNORED_LABELS
from paddleseg.annotations.lists import names_in, pairs_in
from paddleseg.annotations.new_data_set import check_name, refuse_full
from paddleseg.errors import UserError, counted
from paddleseg.transforms.reading import read_bytes, read_mask
from paddleseg.utils.image_files import read_names
from paddleseg.utils.progress_bar import bar
from paddleseg.utils.save_dir import make_save_dir, new_save_dir

_SCALE = 2  # contours of the doubled mask lie a quarter of a pixel inside, so that no centre is on a line


def masks_to_labelme(dataset_root, save_dir, options):
    """Write the masks of a data set as labelme's JSON files, each beside a copy of its image.

    Args:
        dataset_root: the data set.
        save_dir: the folder of the files; it must be absent or empty.
        options: `LabelmeOptions`.

    Returns:
        Lines: how many files were written.

    Raises:
        UserError: a file cannot be read or written, an image lies outside of the data set, or a mask holds a
            value without a name.
    """
    refuse_full(save_dir)
    pairs = pairs_in(dataset_root, options)
    for image, _ in pairs:
        check_name(image)  # such as "../a.jpg", which would be written beside `save_dir`
    names = read_names(options.class_list) if options.class_list else names_in(dataset_root)
    with new_save_dir(save_dir):
        for image, mask_name in bar(pairs, label="writing"):
            mask = read_mask(os.path.join(dataset_root, mask_name))
            numbered = names or [str(number) for number in range(IGNORE_INDEX)]
            try:
                shapes = polygons_of(mask, numbered, with_background=not names or names[0] in BACKGROUNDS)
            except UserError as error:
                raise UserError(f"{mask_name}: {error}") from None
            content = read_bytes(os.path.join(dataset_root, image), "image")
            path = os.path.join(save_dir, *image.split("/"))
            text = labelme_text(os.path.basename(image), mask.shape, shapes)
            _write(path, content)
            _write(f"{os.path.splitext(path)[0]}.json", text.encode())
    return [f"{save_dir}: {counted(len(pairs), 'image')}"]


def _write(path, content):
    make_save_dir(os.path.dirname(path))
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError:
        raise UserError(f"{path} would be written twice; two images differ in the suffix alone") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def polygons_of(mask, class_names, with_background=True):
    """Return the polygons of a mask as labelme's shapes, larger ones first.

    A background, as class 0, has no polygons of its own, and a hole is a polygon of the background that
    follows. Without a background, each class has polygons. `raster` turns the polygons into the same mask
    again.

    Args:
        mask: uint8, H x W.
        class_names: the names of the classes; 255 becomes `__ignore__`.
        with_background: whether class 0 is the background. Default True.

    Raises:
        UserError: the mask holds a value without a name.
    """
    found = []
    for value in np.unique(mask[mask > 0] if with_background else mask).tolist():
        if value != IGNORE_INDEX and value >= len(class_names):
            raise UserError(
                f"the mask holds {value}, and the last class that has a name is {len(class_names) - 1}"
            )
        label = IGNORED_LABELS[0] if value == IGNORE_INDEX else class_names[value]
        for is_hole, area, points in _contours(mask == value):
            if with_background or not is_hole:  # without a background, what is in a hole has a polygon, too
                found.append((area, BACKGROUNDS[0] if is_hole else label, points))
    found.sort(key=lambda one: -one[0])
    return [
        {"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
        for _, label, points in found
    ]


def _contours(inside):
    """Yield (whether it is a hole, area, points) of each contour of a bool mask.

    The parts of a mask are taken one by one; pixels that touch by a corner alone are in two parts. So what
    is in a hole is then smaller than the hole, and larger contours can be drawn first.
    """
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    for part in range(1, count):
        left, top, width, height = boxes[part, :4]
        own = parts[top : top + height, left : left + width] == part
        enlarged = np.kron(own, np.ones((_SCALE, _SCALE), np.uint8))
        contours, tree = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for contour, (*_, parent) in zip(contours, tree[0]):
            points = (contour[:, 0] + 0.5) / _SCALE + [left, top]
            yield parent >= 0, cv2.contourArea(contour), points.tolist()


def labelme_text(image, size, shapes):
    """Return the text of a JSON file of labelme.

    Args:
        image: the image's path, relative to the JSON file.
        size: (height, width).
        shapes: as `polygons_of` returns them.
    """
    content = {
        "version": "5.0.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image.replace(os.sep, "/"),
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }
    return json.dumps(content, ensure_ascii=False, indent=1)
