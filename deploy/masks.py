"""Masks: made from a model's output, coloured for people, and written without losing another file."""

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np
from deploy_file import check_num_classes
from errors import ImageError, UserError

COLORED = "_color"  # is added to the name of a mask's coloured picture


def mask_of(output, size, output_op):
    """Return classes, uint8 of `size` (H, W), for an output: classes 1 x h x w or scores 1 x C x h x w."""
    check_num_classes(int(output.max()) + 1 if output.ndim == 3 else output.shape[1])
    if output_op == "softmax":
        # Logits and the logarithms of their probabilities differ by one number per pixel, the same for all
        # classes. Interpolated they do too, so the largest stays the largest. The floor changes only classes
        # that are e^87 times less likely than another. Where such neighbours are interpolated, the outline
        # between them may differ from that of logits.
        output = np.log(np.maximum(output, np.finfo(np.float32).tiny))
    if output.ndim == 3:
        return cv2.resize(output[0].astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    planes = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in output[0]]
    return np.argmax(planes, axis=0).astype(np.uint8)


def palette(num_classes):
    """Return the colours of predict.py, uint8 256 x 3, RGB: PASCAL VOC's, but green for the second of two."""
    classes = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):  # VOC deals the bits of a class out to the channels
            colors[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    if num_classes == 2:
        colors[1] = 60, 220, 80
    return colors


def colored(path):
    """Return the path of a mask's coloured picture, beside the mask."""
    return os.path.splitext(path)[0] + f"{COLORED}.png"


def is_own(mask, picture):
    """Tell whether this script wrote a mask and its coloured picture."""
    classes, colors = decoded(mask), decoded(picture)
    if classes is None or colors is None or classes.dtype != np.uint8 or classes.shape + (3,) != colors.shape:
        return False
    return any(np.array_equal(palette(count)[classes][..., ::-1], colors) for count in (2, None))


def decoded(file):
    """Return an image as it is in its file, None if it cannot be read."""
    try:
        # OpenCV's own reader ends the process at a name that is not UTF-8.
        return cv2.imdecode(np.frombuffer(Path(file).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):  # cv2.error: more pixels than OpenCV takes
        return None


def refuse_overwriting(files, masks):
    """Refuse masks that would replace a photograph, another mask, or a file that this script did not write.

    This script recognises its own masks by the coloured picture beside them.
    """
    taken = {os.path.realpath(file) for file in files}
    for pair in ((mask, colored(mask)) for mask in masks):
        existing = [file for file in pair if os.path.lexists(file)]
        for file in pair:
            if os.path.realpath(file) in taken:
                raise UserError(
                    f"{file} would be written over a photograph, or the mask of another; choose a "
                    f"--save_dir outside of --image_path, or rename the photograph"
                )
            taken.add(os.path.realpath(file))
        if existing and not is_own(*pair):
            raise UserError(
                f"{existing[0]} exists and is not from an earlier run, which writes a mask and its coloured "
                f"picture; choose another --save_dir"
            )


def write_mask(path, mask, colors):
    """Write a mask as a grey PNG of classes, and `*_color.png` for people beside it."""
    pictures = {path: mask, colored(path): colors[mask][..., ::-1]}
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for file, picture in pictures.items():
            # OpenCV's own writer ends the process at a name that is not UTF-8.
            Path(file + ".part").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        for file in pictures:  # together, since the next run would not recognise one alone
            os.replace(file + ".part", file)
    except OSError as error:
        for file in pictures:
            with contextlib.suppress(OSError):
                os.remove(file + ".part")
        raise ImageError(f"cannot write {path}: {error.strerror}") from None
