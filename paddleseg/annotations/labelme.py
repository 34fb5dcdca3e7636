"""Annotations of labelme, https://github.com/wkentaro/labelme: a JSON file for each image."""

import base64
import binascii
import functools
import io
import os

import numpy as np
from PIL import Image

from paddleseg.annotations.json_file import item, numbers, read_json
from paddleseg.annotations.raster import Bitmap, Circle, Polygon, rectangle
from paddleseg.annotations.records import Record, Shape, find_image
from paddleseg.errors import UserError
from paddleseg.transforms.decoding import read_header
from paddleseg.utils.image_files import COMPANION_FOLDERS, is_companion
from paddleseg.utils.pixel_limit import too_large

_WITHOUT_AREA = ("point", "points", "line", "linestrip")
_CORNERS = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "bmp": ".bmp", "webp": ".webp"}


def labelme_files(paths):
    """Return [(JSON file, folder that names are relative to)] of files, and of folders with their subfolders.

    Raises:
        UserError: there is none, or a path does not exist.
    """
    files = []
    for path in paths:
        if os.path.isdir(path):
            files += [(file, path) for file in _in_folder(path)]
        elif os.path.isfile(path):
            files.append((path, os.path.dirname(path) or "."))
        else:
            raise UserError(f"there is no file or folder {path!r}")
    if not files:
        raise UserError(f"no .json file in {', '.join(paths)}")
    return files


def _in_folder(path):
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in COMPANION_FOLDERS]
        found += [
            os.path.join(folder, n) for n in names if n.lower().endswith(".json") and not is_companion(n)
        ]
    return sorted(found)


def read_labelme(path, root, image_dir=None):
    """Return the `Record` of a JSON file.

    The image is the file that `imagePath` names. If there is none, the embedded one (`imageData`) is taken.

    Args:
        path: the JSON file.
        root: the folder that names in the data set are relative to, and that the image must be in.
        image_dir: the folder of the images, if it is another one.

    Raises:
        UserError: the file is damaged, it is not labelme's, or there is no image.
    """
    content = read_json(path)
    shapes = [_shape(k, shape) for k, shape in enumerate(item(content, "shapes", list))]
    size = tuple(item(content, key, int, default=0) for key in ("imageHeight", "imageWidth"))
    embedded = item(content, "imageData", str, default=None)
    try:
        stated = item(content, "imagePath", str)
        file, name = find_image(stated, os.path.dirname(path), image_dir, root)
        read = None
    except UserError:
        if embedded is None:
            raise
        file, name = None, f"{os.path.relpath(path, root)[: -len('.json')]}{_suffix(embedded)}"
        read = functools.partial(_embedded, path)
    return Record(path, name.replace(os.sep, "/"), file, read, size if all(size) else None, shapes)


def _shape(number, shape):
    """Return the `Shape` of one entry; what is wrong with its points is found when it is drawn."""
    where = f"shapes[{number}]"
    try:
        label = item(shape, "label", str)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return Shape(where, label, functools.partial(_area, shape))


def _area(shape, height, width):
    kind = item(shape, "shape_type", str, default="polygon")
    points = item(shape, "points", list)
    if kind in _CORNERS or (kind == "rectangle" and len(points) > 2):
        return Polygon(numbers(points, kind, least=3))
    if kind == "rectangle":
        return rectangle(numbers(points, kind, least=2))
    if kind == "circle":
        return Circle(numbers(points, kind, least=2)[:2])
    if kind == "mask":
        left, top = np.rint(np.clip(numbers(points, kind), -(2**31), 2**31))[0].astype(int)
        return Bitmap(int(top), int(left), _bitmap(item(shape, "mask", str)))
    if kind in _WITHOUT_AREA:
        raise UserError(f"a shape of type {kind!r} has no area")
    raise UserError(f"the type of shape {kind!r} is unknown")


def _bitmap(text):
    """Return the pixels of a shape of type "mask", a PNG in base64, as bool."""
    try:
        with Image.open(io.BytesIO(_decoded(text, "mask"))) as image:
            reason = too_large(*image.size)
            if reason:
                raise UserError(f"its 'mask': {reason}")
            mask = np.array(image)
    except UserError:
        raise
    except Exception:  # for a damaged file, Pillow's readers raise nearly anything
        raise UserError("its 'mask' is no PNG in base64") from None
    if mask.ndim != 2:
        raise UserError("its 'mask' is a picture in colours, not one of one band")
    return mask > 0


def _embedded(path):
    return _decoded(item(read_json(path), "imageData", str), "imageData")


def _suffix(embedded):
    return _SUFFIXES.get(read_header(_decoded(embedded, "imageData")).kind, ".png")


def _decoded(text, key):
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise UserError(f"its {key!r} is no base64") from None
