"""Pictures for people: the colours of classes, masks over photographs, pictures side by side."""

import cv2
import numpy as np

from paddleseg.errors import UserError

CAPTION_HEIGHT = 22


def palette(custom=None):
    """Return a colour for each of 256 classes, uint8 256 x 3, RGB.

    They are those of PASCAL VOC, whose first is black: a class's bits dealt out to the three channels, the
    lowest to red, each channel filled from its highest bit.

    Args:
        custom: whole numbers 0..255, red, green, blue of class 0, then of class 1 and so on, in place of the
            first colours.

    Raises:
        UserError: `custom` is not of that form.
    """
    classes = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    custom = list(custom or [])
    if len(custom) % 3 or len(custom) > colors.size or not all(0 <= value <= 255 for value in custom):
        raise UserError(
            f"custom colours are red, green and blue, each 0..255, of up to 256 classes one after the other, "
            f"not {len(custom)} numbers: {' '.join(map(str, custom[:12]))}"
        )
    colors[: len(custom) // 3] = np.reshape(custom, (-1, 3))
    return colors


VOC = palette()
# Class 1 in a green that stands out on retinas and skin, where VOC's dark red does not.
GREEN = palette([0, 0, 0, 60, 220, 80])


def class_colors(num_classes, custom=None):
    """Return the colours in which all pictures show so many classes: `GREEN` for two, else `palette`'s.

    Args:
        num_classes: None if it is not known.
        custom: as `palette` takes it; wins.
    """
    return GREEN if num_classes == 2 and not custom else palette(custom)


def overlay(image, mask, colors=VOC, alpha=0.45, ignore_index=255):
    """Return the photograph with each class tinted in its colour and outlined; black leaves it as it is.

    An outline has the colour at full brightness, to be seen on dark photographs, too.

    Args:
        image: uint8 H x W x 3, BGR.
        mask: integer H x W, 0..255.
        colors: uint8 256 x 3, RGB, as `palette` gives them.
        alpha: share of the colour in the tint, 0 to 1.
        ignore_index: the value that is left as it is, too; None if all are classes.

    Returns:
        uint8 H x W x 3, BGR.
    """
    mask = np.asarray(mask).astype(np.uint8)
    tints = colors[:, ::-1].astype(np.float32)
    tinted = colors.any(axis=1)
    if ignore_index is not None and 0 <= ignore_index <= 255:
        tinted[ignore_index] = False
    inside = tinted[mask]
    shown = image.copy()
    shown[inside] = ((1 - alpha) * shown[inside] + alpha * tints[mask[inside]]).astype(np.uint8)
    # About as wide, for the eye, on a large photograph as on a small one.
    reach = max(round(max(mask.shape) / 1000), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * reach + 1, 2 * reach + 1))
    outline = inside & (cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))
    bright = tints * (255 / np.maximum(tints.max(axis=1, keepdims=True), 1))
    shown[outline] = np.rint(bright[mask[outline]]).astype(np.uint8)
    return shown


def sheet(rows, captions, gap=0, caption_scale=1):
    """Return pictures of equal size as one, a caption above each column.

    Args:
        rows: list of rows, each a list of uint8 H x W x 3 pictures, BGR.
        captions: one ASCII text for each column; the middle of one that is too long is left out.
        gap: white pixels between columns and between rows.
        caption_scale: a whole factor on the size of the captions, for sheets that are shown shrunk.

    Returns:
        uint8 picture, BGR.
    """
    width = rows[0][0].shape[1]
    lines = [[_head(caption, width, caption_scale) for caption in captions], *rows]
    lines = [_joined(line, 1, gap) for line in lines]
    return np.vstack([lines[0], _joined(lines[1:], 0, gap)])


def _joined(pictures, axis, gap):
    space = [(0, 0), (0, 0), (0, 0)]
    space[axis] = (gap, 0)
    rest = [np.pad(picture, space, constant_values=255) for picture in pictures[1:]]
    return np.concatenate([pictures[0], *rest], axis)


def _head(caption, width, scale):
    head = np.full((scale * CAPTION_HEIGHT, width, 3), 255, np.uint8)
    style = (cv2.FONT_HERSHEY_SIMPLEX, 0.4 * scale)
    shown, kept = caption, len(caption)
    while kept > 2 and cv2.getTextSize(shown, *style, scale)[0][0] > width - 8:
        kept -= 1
        shown = f"{caption[: (kept + 1) // 2]}..{caption[len(caption) - kept // 2 :]}"
    return cv2.putText(head, shown, (4, 15 * scale), *style, (0, 0, 0), scale, cv2.LINE_AA)
