"""Distillation-first semantic segmentation on PaddlePaddle."""

import os

# Python's zlib must be loaded before Paddle 2.6.2, which brings one of its own: otherwise PaddleSlim crashes
# the interpreter, and Pillow cannot decode PNG ("codec configuration error").
import zlib  # noqa: F401

__version__ = "0.1.0"

# OpenCV reads its limit when it is imported.
if os.environ.get("PADDLESEG_MAX_PIXELS", "").isdecimal():
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", os.environ["PADDLESEG_MAX_PIXELS"])
