"""Draw pictures: the colours of classes, masks over photographs, pictures side by side."""

import cv2
import numpy as np

from paddleseg.errors import UserError

CAPTION_HEIGHT = 22


def palette(custom=None):
    """Return a colour for each of 256 classes, uint8 256 x 3, RGB.

    The colours are PASCAL VOC's, the first of which is black. They deal a class's bits out to the three
    channels, the lowest to red, and fill each channel from its highest bit.

    Args:
        custom: replaces the first colours: red, green and blue of class 0, then of class 1 and so on, whole
            numbers 0..255. Default None.

    Raises:
        UserError: `custom` has another form.
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


def shrunk(picture, longest, interpolation=cv2.INTER_AREA):
    """Return a picture whose longer side has at most `longest` pixels; the ratio of its sides stays."""
    height, width = picture.shape[:2]
    scale = min(longest / max(height, width), 1)
    size = [max(round(side * scale), 1) for side in (width, height)]
    return cv2.resize(picture, size, interpolation=interpolation)


def shrunk_mask(mask, longest):
    """Return the classes H x W of a mask as int32, its longer side at most `longest` pixels."""
    return shrunk(np.asarray(mask, np.int32), longest, cv2.INTER_NEAREST)


VOC = palette()
# Class 1 in green, which stands out on retinas and skin; VOC's dark red does not.
GREEN = palette([0, 0, 0, 60, 220, 80])


def class_colors(num_classes, custom=None):
    """Return the colours for all pictures of a number of classes: `GREEN` for two, else `palette`'s.

    Args:
        num_classes: the number, None if it is unknown.
        custom: as in `palette`; replaces `GREEN` too.
    """
    return GREEN if num_classes == 2 and not custom else palette(custom)


def overlay(image, mask, colors=VOC, alpha=0.45, ignore_index=255):
    """Return a photograph with each class tinted and outlined in its colour; black classes change nothing.

    Outlines have the colour at full brightness, so that they show on dark photographs too.

    Args:
        image: uint8 H x W x 3, BGR.
        mask: integer H x W, 0..255.
        colors: uint8 256 x 3, RGB, as `palette` gives them.
        alpha: share of the colour in the tint, 0 to 1. Default 0.45.
        ignore_index: another value that changes nothing; None if all values are classes. Default 255.

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
    # Outlines look about equally wide on large and small photographs.
    reach = max(round(max(mask.shape) / 1000), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * reach + 1, 2 * reach + 1))
    outline = inside & (cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))
    bright = tints * (255 / np.maximum(tints.max(axis=1, keepdims=True), 1))
    shown[outline] = np.rint(bright[mask[outline]]).astype(np.uint8)
    return shown


def sheet(rows, captions, gap=0, caption_scale=1):
    """Return pictures of equal size as one picture with a caption above each column.

    Args:
        rows: list of rows, each a list of uint8 H x W x 3 pictures, BGR.
        captions: one ASCII text for each column; if it is too long, its middle is left out.
        gap: white pixels between columns and between rows. Default 0.
        caption_scale: a whole-number factor for the captions' size, for sheets that are shown smaller.
            Default 1.

    Returns:
        uint8 picture, BGR.
    """
    width = rows[0][0].shape[1]
    head = [_caption(text, width, caption_scale) for text in captions]
    return np.vstack([_joined(head, 1, gap), _joined([_joined(row, 1, gap) for row in rows], 0, gap)])


def _joined(pictures, axis, gap):
    space = [(0, 0), (0, 0), (0, 0)]
    space[axis] = (gap, 0)
    rest = [np.pad(picture, space, constant_values=255) for picture in pictures[1:]]
    return np.concatenate([pictures[0], *rest], axis)


def _caption(text, width, scale):
    picture = np.full((scale * CAPTION_HEIGHT, width, 3), 255, np.uint8)
    style = (cv2.FONT_HERSHEY_SIMPLEX, 0.4 * scale)
    shown, length = text, len(text)
    while length > 2 and cv2.getTextSize(shown, *style, scale)[0][0] > width - 8:
        length -= 1
        shown = f"{text[: (length + 1) // 2]}..{text[len(text) - length // 2 :]}"
    return cv2.putText(picture, shown, (4, 15 * scale), *style, (0, 0, 0), scale, cv2.LINE_AA)
