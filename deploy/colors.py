"""The colours of classes, by which this script also knows what it has written before."""

import os
from pathlib import Path

import cv2
import numpy as np

COLORED = "_color"  # is added to the name of a picture for people


def colored(path):
    """Return where the picture for people lies, beside a mask."""
    return os.path.splitext(path)[0] + f"{COLORED}.png"


def palette(num_classes):
    """Return the colours of predict.py, uint8 256 x 3, RGB: green for the second of two classes, else VOC's.

    PASCAL VOC deals the bits of a class out to the channels.
    """
    classes = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    if num_classes == 2:
        colors[1] = 60, 220, 80
    return colors


def is_own(mask, picture):
    """Tell whether a file is a mask of this script's, and another the picture of it for people."""
    classes, colors = decoded(mask), decoded(picture)
    if classes is None or colors is None or classes.dtype != np.uint8 or classes.shape + (3,) != colors.shape:
        return False
    return any(np.array_equal(palette(count)[classes][..., ::-1], colors) for count in (2, None))


def decoded(file):
    """Return an image as its file holds it; None if it cannot be read."""
    try:
        # OpenCV itself ends the process at a name that is no UTF-8.
        return cv2.imdecode(np.frombuffer(Path(file).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):  # more pixels than OpenCV takes
        return None
