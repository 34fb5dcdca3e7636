"""Pictures as they stand in a page."""

import base64
import colorsys

import cv2
import numpy as np

from paddleseg.utils.pictures import overlay, palette

LONGEST = 360  # pixels
ONE_CLASS = palette([0, 0, 0, 20, 170, 255])  # a blue, which little in photographs of bodies and streets is
# Of one turn of hue: neighbouring classes are then far from each other, and none is met again soon.
GOLDEN = 0.618034


def class_color(index):
    """Return the colour of a class, (red, green, blue) of 0..255."""
    value = (0.95, 0.65, 0.8)[index % 3]
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(GOLDEN * index % 1, 0.85, value))


def masked(picture, mask, num_classes, ignore_index=255):
    """Return a picture of at most `LONGEST` pixels a side with the classes of its pixels tinted.

    Of two classes the second alone is; what is ignored never is.

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
    if num_classes <= 2:
        return overlay(picture, np.where(mask == ignore_index, 0, mask), ONE_CLASS)
    colors = np.array([class_color(k)[::-1] for k in range(num_classes)])
    tinted = 0.4 * picture + 0.6 * colors[np.clip(mask, 0, num_classes - 1)]
    return np.where((mask == ignore_index)[..., None], picture, tinted).astype("uint8")


def data_uri(picture):
    """Return a picture as the JPEG in a data URI."""
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
