"""How many pixels an image may have; imported before OpenCV, which reads its own limit at its import."""

import os

from errors import UserError

VARIABLE = "PADDLESEG_MAX_PIXELS"

if os.environ.get(VARIABLE, "").isdecimal():
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", os.environ[VARIABLE])


def max_pixels():
    """Return the largest number of pixels: that of the environment variable, or 2**30."""
    text = os.environ.get(VARIABLE) or str(2**30)
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"the environment variable {VARIABLE} must be a whole number above 0, not {text!r}")
    return int(text)
