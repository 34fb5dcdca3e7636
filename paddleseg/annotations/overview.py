"""One sheet of images with their masks drawn over them."""

import math
import os

import cv2
import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.file_lists import pairs_of
from paddleseg.errors import UserError
from paddleseg.transforms.reading import as_mask, read_mask, read_picture
from paddleseg.utils.pictures import CAPTION_HEIGHT, class_colors, overlay, sheet
from paddleseg.utils.save_dir import make_save_dir

SIDE, GAP = 320, 6  # of a picture on the sheet, in pixels


def draw_overview(cfg, options):
    """Draw masks over images, with the colours of the classes below, and write the sheet.

    Args:
        cfg: a `Config` with the section `options.section`.
        options: `DrawOptions`.

    Returns:
        Lines: what was written.

    Raises:
        UserError: a file cannot be read, the section is missing or lists no masks, or the sheet cannot be
            written.
    """
    if cfg.get(options.section) is None:
        raise UserError(f"{cfg.path}: there is no {options.section} to draw")
    dataset = build_component(cfg[options.section], manager.DATASETS, options.section)
    num_classes = getattr(dataset, "num_classes", None)
    if num_classes is None:
        raise UserError(f"{options.section}: {type(dataset).__name__} states no num_classes, so no colours")
    pairs = [pair for pair in pairs_of(dataset) if pair[1] is not None]
    if not pairs:
        raise UserError(f"{options.section}: it lists no masks")
    chosen = np.random.default_rng(options.seed).permutation(len(pairs))[: options.images]
    colors = class_colors(num_classes)
    cells = [_cell(dataset, pairs[index], colors) for index in sorted(chosen.tolist())]
    columns = min(options.columns, len(cells))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    labels = labelled(class_names(dataset), num_classes)
    _write(options.output, np.vstack([*rows, _legend(labels, colors, rows[0].shape[1])]))
    return [f"{options.output}: {len(chosen)} of {len(pairs)} images of {options.section}"]


def _cell(dataset, pair, colors):
    """Return an image with its mask, in a square of `SIDE` with its name above, white around it."""
    compose = getattr(dataset, "transforms", None)
    channels, img_range = getattr(compose, "img_channels", 3), getattr(compose, "img_range", None)
    picture = read_picture(pair[0], channels, img_range)
    label = getattr(dataset, "read_label", os.fspath)(pair[1])
    mask = read_mask(label) if isinstance(label, (str, os.PathLike)) else as_mask(np.asarray(label))
    if mask.shape != picture.shape[:2]:
        raise UserError(f"the image {pair[0]!r} and its mask {pair[1]!r} have different sizes")
    scale = SIDE / max(mask.shape)
    size = [max(round(side * scale), 1) for side in mask.shape[::-1]]
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    mask = np.clip(mask, 0, 255).astype(np.uint8)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    shown = overlay(picture, mask, colors, ignore_index=ignored_label(dataset))
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[: shown.shape[0], : shown.shape[1]] = shown
    named = sheet([[square]], [_ascii(os.path.basename(pair[0]))])
    return np.pad(named, [(0, GAP), (0, GAP), (0, 0)], constant_values=255)


def _legend(labels, colors, width):
    """Return lines of squares in the colours of classes, each with the class's number and name."""
    cell = SIDE // 2
    columns = max(width // cell, 1)
    legend = np.full((math.ceil(len(labels) / columns) * CAPTION_HEIGHT, width, 3), 255, np.uint8)
    for number, label in enumerate(labels):
        top, left = number // columns * CAPTION_HEIGHT, number % columns * cell
        color = colors[number, ::-1].tolist()
        cv2.rectangle(legend, (left + 4, top + 4), (left + 18, top + 18), color, cv2.FILLED)
        text = _ascii(label)[:20]
        cv2.putText(
            legend, text, (left + 24, top + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA
        )
    return legend


def _ascii(text):
    """Return a text with "?" for letters that OpenCV cannot draw."""
    return text.encode("ascii", "replace").decode()


def _write(path, picture):
    encoded, content = False, None
    if os.path.splitext(path)[1].lower() in (".jpg", ".jpeg", ".png"):
        encoded, content = cv2.imencode(os.path.splitext(path)[1], picture)
    if not encoded:
        raise UserError(f"output {path!r} must end with .jpg or .png")
    make_save_dir(os.path.dirname(path) or ".")
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
