"""Pictures for people: masks over photographs, side by side."""

import cv2
import numpy as np

CAPTION_HEIGHT = 22


def overlay(image, mask, color=(80, 220, 60), alpha=0.45):
    """Return the photograph with the mask's pixels above 0 tinted and outlined.

    Args:
        image: uint8 H x W x 3, BGR.
        mask: integer H x W; 0 and 255 are left as they are.
        color: BGR.
        alpha: share of the colour in the tint, 0 to 1.

    Returns:
        uint8 H x W x 3, BGR.
    """
    shown = image.copy()
    inside = (mask > 0) & (mask != 255)
    shown[inside] = ((1 - alpha) * shown[inside] + alpha * np.array(color)).astype("uint8")
    contours, _ = cv2.findContours(inside.astype("uint8"), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(shown, contours, -1, color, 1)


def sheet(rows, captions):
    """Return pictures of equal size as one, a caption above each column.

    Args:
        rows: list of rows, each a list of uint8 H x W x 3 pictures, BGR.
        captions: one ASCII text for each column.

    Returns:
        uint8 picture, BGR.
    """
    width = rows[0][0].shape[1]
    heads = []
    for caption in captions:
        head = np.full((CAPTION_HEIGHT, width, 3), 255, "uint8")
        heads.append(
            cv2.putText(head, caption, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        )
    return np.vstack([np.hstack(heads), *(np.hstack(row) for row in rows)])
