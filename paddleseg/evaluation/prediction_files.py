"""The files of a prediction: masks, overlays, probabilities and sheets."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from paddleseg.errors import UserError
from paddleseg.utils.image_files import SUFFIXES
from paddleseg.utils.pictures import overlay, sheet
from paddleseg.utils.save_dir import make_save_dir

MASKS, OVERLAYS = "pseudo_color_prediction", "added_prediction"  # PaddleSeg's names
PROBABILITIES, SHEETS = "probabilities", "sheets"
# Of a picture on a sheet, in pixels: several fit on a screen, and a caption fits above each.
LONGEST_SIDE, SHORTEST_SIDE, GAP = 480, 240, 6


class PredictionFiles:
    """Writes the files of a prediction to a folder, under the names of the images.

    Masks, overlays and probabilities have a folder each, named as PaddleSeg's are. With several models these
    are in a folder for each model. Sheets, which show the models side by side, are in one folder.

    Args:
        folder: made if it is missing.
        models: the names of the models, in the order of a sheet.
        colors: of the classes, as `pictures.class_colors` returns them.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder, models, colors):
        make_save_dir(folder)
        self._folder = folder
        self._models = models
        self._colors = colors
        self._written = {}  # {what was written: its folder}

    def summary(self):
        """Return in words what was written, and where."""
        return ", ".join(f"{kind} in {where}" for kind, where in self._written.items()) or "nothing written"

    def refuse_inputs(self, images):
        """Raise `UserError` if an `ImageFile` or its mask is in a folder of the results.

        Such a file would be overwritten, or is a result of an earlier prediction.
        """
        kinds = (MASKS, OVERLAYS, SHEETS)
        folders = [self._folder_of(model, kind) for model in self._models for kind in kinds]
        folders = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
        for path in (path for image in images for path in (image.path, image.mask) if path is not None):
            if _resolved(path).startswith(folders):
                raise UserError(
                    f"{path} is where save_dir {self._folder} puts its pictures; choose another save_dir, "
                    f"outside of image_path"
                )

    def write_mask(self, image, model, photograph, mask):
        """Write a mask, a PNG of classes with a palette of colours, and an overlay of it on the photograph.

        Args:
            image: the `ImageFile`.
            model: the model's name.
            photograph: uint8 H x W x 3, BGR.
            mask: uint8 H x W.
        """
        indexed, content = Image.fromarray(mask), io.BytesIO()
        indexed.putpalette(self._colors.tobytes())
        indexed.save(content, "PNG")
        _write(self._path(model, MASKS, image.name + ".png", "masks"), content)
        # In the format of the photograph, if OpenCV can write it.
        known = image.relative.lower().endswith(SUFFIXES)
        path = self._path(model, OVERLAYS, image.relative if known else image.relative + ".png", "overlays")
        _write_picture(path, overlay(photograph, mask, self._colors, ignore_index=None))

    def write_probabilities(self, image, model, probabilities):
        """Write the probabilities of an `ImageFile`, C x H x W: `probabilities` in an .npz file, float16."""
        content = io.BytesIO()
        np.savez_compressed(content, probabilities=probabilities.astype(np.float16))
        _write(self._path(model, PROBABILITIES, image.name + ".npz", "probabilities"), content)

    def write_sheet(self, image, photograph, truth, masks, ignore_index):
        """Write photograph, truth and the masks of the models side by side, if there is something to compare.

        Args:
            image: the `ImageFile`.
            photograph: uint8 H x W x 3, BGR.
            truth: H x W, 0..255, or None.
            masks: of each model, uint8 H x W.
            ignore_index: the value of the truth that is not a class.
        """
        if truth is None and len(masks) == 1:
            return
        shown = _fitted(photograph)
        row, captions = [shown], ["photograph"]
        if truth is not None:
            row.append(self._overlay_of(shown, truth, ignore_index))
            captions.append("truth")
        row += [self._overlay_of(shown, mask, None) for mask in masks]
        path = self._path(None, SHEETS, image.name + ".png", "sheets")
        _write_picture(path, sheet([row], [*captions, *self._models], GAP))

    def _overlay_of(self, shown, mask, ignore_index):
        height, width = shown.shape[:2]
        mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        return overlay(shown, mask, self._colors, ignore_index=ignore_index)

    def _folder_of(self, model, kind):
        own = [model] if len(self._models) > 1 and kind != SHEETS else []
        return os.path.join(self._folder, *own, kind)

    def _path(self, model, kind, name, noun):
        self._written[noun] = self._folder_of("*", kind)
        return os.path.join(self._folder_of(model, kind), *name.split("/"))


def _resolved(path):
    """Return a path without links, or unchanged if it has a null character and so cannot exist."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return path


def _fitted(picture):
    """Return a picture at the size that it has on a sheet."""
    longest = max(picture.shape[:2])
    scale = min(LONGEST_SIDE / longest, 1) if longest > SHORTEST_SIDE else SHORTEST_SIDE // longest
    size = [max(round(side * scale), 1) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _write_picture(path, picture):
    # `cv2.imwrite` would end the process at a name that is not UTF-8.
    encoded, content = cv2.imencode(os.path.splitext(path)[1], picture)
    if not encoded:
        raise UserError(f"cannot write {path}: OpenCV cannot encode it")
    _write(path, io.BytesIO(content))


def _write(path, content):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(content.getbuffer())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
