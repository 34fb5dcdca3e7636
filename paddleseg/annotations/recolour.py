"""Masks in other forms to class indices: palettes, colours, and grey values that are no class indices."""

import io
import os
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from paddleseg.annotations.classes import IGNORE_INDEX
from paddleseg.annotations.records import AnnotationError, Faults
from paddleseg.errors import UserError, counted
from paddleseg.transforms.decoding import read_header
from paddleseg.transforms.reading import decode_image, read_bytes, read_mask
from paddleseg.utils.image_files import ONE_CHANNEL, named_images, read_names
from paddleseg.utils.pictures import VOC
from paddleseg.utils.progress_bar import bar
from paddleseg.utils.save_dir import make_save_dir

IGNORED_COLOR = tuple(VOC[IGNORE_INDEX].tolist())  # of outlines in VOC


class Colors(NamedTuple):
    """The colours of classes in masks.

    Attributes:
        names: the names of the classes; () if they have none.
        rgb: uint8, C x 3.
    """

    names: tuple
    rgb: np.ndarray

    def classes(self, pixels):
        """Return the class of each pixel, uint8 H x W; VOC's colour 255 is ignored.

        Args:
            pixels: uint8, H x W x 3, RGB.

        Raises:
            AnnotationError: a pixel has the colour of no class.
        """
        known = {tuple(color): k for k, color in enumerate(self.rgb.tolist())}
        known.setdefault(IGNORED_COLOR, IGNORE_INDEX)
        codes, inverse = np.unique(pixels.astype(np.int64) @ [1 << 16, 1 << 8, 1], return_inverse=True)
        colors = [(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()]
        unknown = [color for color in colors if color not in known]
        if unknown:
            raise AnnotationError(
                "unknown label",
                f"{counted(len(unknown), 'colour')} of no class, the first is red {unknown[0][0]}, "
                f"green {unknown[0][1]}, blue {unknown[0][2]}",
            )
        values = np.array([known[color] for color in colors], np.uint8)
        return values[inverse].reshape(pixels.shape[:2])


VOC_COLORS = Colors((), VOC[:IGNORE_INDEX])


def read_colors(path):
    """Return the `Colors` that a text file lists: `name:r,g,b` in each line, as CVAT's labelmap.txt has them.

    What follows another ":" and lines that begin with "#" do not count.

    Raises:
        UserError: a line has another form, or two classes have the same colour.
    """
    names, colors = [], []
    for line in read_names(path):
        match = re.match(r"([^:]+):(\d+),\s*(\d+),\s*(\d+)(:|$)", line)
        if line.startswith("#"):
            continue
        if match is None or max(map(int, match.group(2, 3, 4))) > 255:
            raise UserError(f"{path}: expected 'name:red,green,blue', got {line[:200]!r}")
        names.append(match[1])
        colors.append(tuple(map(int, match.group(2, 3, 4))))
    if not 0 < len(names) <= IGNORE_INDEX or len(set(colors)) < len(colors):
        raise UserError(
            f"{path}: it must list 1 to {IGNORE_INDEX} classes, each with its own colour; it has "
            f"{len(names)} classes and {len(set(colors))} different colours"
        )
    return Colors(tuple(names), np.array(colors, np.uint8))


def read_class_mask(path, colors=VOC_COLORS):
    """Read a mask of class indices, in grey or with a palette, or of colours: uint8 or int32, H x W.

    Args:
        path: the file.
        colors: the `Colors` of a mask of colours. Default: VOC's.

    Raises:
        UserError: it cannot be read, or a colour is that of no class.
    """
    content = read_bytes(path, "mask")
    header = read_header(content)
    if header.bands - header.alpha == 3 and not _holds_classes(content):
        pixels = decode_image(content, os.fspath(path), 3, None if header.bits == 8 else (0, 255))[0]
        return colors.classes(pixels[..., ::-1])
    return read_mask(path)


def convert_masks(mask_path, save_dir, options):
    """Write masks as class indices, in grey or with VOC's palette.

    Args:
        mask_path: masks, folders or lists, as `named_images` takes them.
        save_dir: the folder of the new masks, PNG files of the same names; it must not hold them.
        options: `MaskOptions`.

    Returns:
        Lines: how many masks were written, and what was left out.

    Raises:
        UserError: something is wrong with a mask, and `options.skip_bad` is off; nothing is written.
    """
    colors = read_colors(options.colors) if options.colors else VOC_COLORS
    faults, written = Faults(), {}
    for mask in bar(named_images(mask_path), label="converting"):
        with faults.caught("unusable mask", mask.path):
            classes = _renumbered(read_class_mask(mask.path, colors), options.values)
            written[os.path.join(save_dir, *f"{mask.name}.png".split("/"))] = _as_png(classes, options.to)
    if not options.skip_bad:
        faults.refuse("correct the files, or leave out such masks by --skip_bad")
    there = [path for path in written if os.path.lexists(path)]
    if there:
        raise UserError(f"{there[0]} is there already; name another save_dir")
    for path, content in written.items():
        make_save_dir(os.path.dirname(path))
        try:
            with open(path, "xb") as file:
                file.write(content)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
    return [f"{save_dir}: {counted(len(written), 'mask')}", *faults.left_out()]


def _holds_classes(content):
    """Tell whether a mask is grey or has a palette; also of a damaged one, which `read_mask` then refuses."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.mode in ONE_CHANNEL
    except Exception:
        return True


def _renumbered(mask, values):
    """Return the place of each pixel's value in `values`, uint8; without `values`, the value itself.

    255 that is not in `values` stays 255, which is ignored.
    """
    class_of = {value: k for k, value in enumerate(range(IGNORE_INDEX) if values is None else values)}
    class_of.setdefault(IGNORE_INDEX, IGNORE_INDEX)
    found, inverse = np.unique(mask, return_inverse=True)
    unknown = [value for value in found.tolist() if value not in class_of]
    if unknown:
        raise AnnotationError(
            "unknown label", f"it holds values of no class: {', '.join(map(str, unknown[:10]))}"
        )
    return np.array([class_of[value] for value in found.tolist()], np.uint8)[inverse].reshape(mask.shape)


def _as_png(classes, form):
    image, content = Image.fromarray(classes), io.BytesIO()
    if form == "palette":
        image.putpalette(VOC.tobytes())
    image.save(content, "PNG")
    return content.getvalue()
