"""How many pixels an image or a mask may have."""

import os

from paddleseg.errors import UserError

VARIABLE = "PADDLESEG_MAX_PIXELS"
DEFAULT = 2**30  # that of OpenCV


def max_pixels():
    """Return the largest number of pixels: the environment variable PADDLESEG_MAX_PIXELS, or 2**30.

    Raises:
        UserError: the variable is no whole number above 0.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT)
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"the environment variable {VARIABLE} must be a whole number above 0, not {text!r}")
    return int(text)


def too_large(width, height):
    """Return why an image of this size is not read; None if it is."""
    limit = max_pixels()
    if width * height <= limit:
        return None
    return (
        f"its {width} x {height} pixels are more than {limit}; if it is what you think, set the environment "
        f"variable {VARIABLE} to {width * height} or more"
    )
