"""Pictures as they stand in a page."""

import base64

import cv2
import numpy as np

from paddleseg.utils.pictures import class_colors, overlay

LONGEST = 360  # pixels
IGNORED = 255


def masked(picture, mask, num_classes, ignore_index=255):
    """Return a picture of at most `LONGEST` pixels a side, its classes tinted in their `class_colors`.

    What is ignored is left as it is.

    Args:
        picture: uint8 H x W x 3, BGR.
        mask: classes, H x W; None leaves the picture as it is.
        num_classes: number of classes.
        ignore_index: the value in `mask` of pixels that are ignored.
    """
    scale = min(LONGEST / max(picture.shape[:2]), 1)
    size = [max(round(side * scale), 1) for side in picture.shape[1::-1]]
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if mask is None:
        return picture
    mask = cv2.resize(np.asarray(mask, np.int32), size, interpolation=cv2.INTER_NEAREST)
    mask[mask == ignore_index] = IGNORED
    return overlay(picture, mask, class_colors(num_classes), ignore_index=IGNORED)


def data_uri(picture):
    """Return a picture as the JPEG in a data URI."""
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
