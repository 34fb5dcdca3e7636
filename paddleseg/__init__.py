"""Distillation-first semantic segmentation on PaddlePaddle."""

# Python's zlib must be loaded before Paddle 2.6.2, which brings one of its own: otherwise PaddleSlim crashes
# the interpreter, and Pillow cannot decode PNG ("codec configuration error").
import zlib  # noqa: F401

__version__ = "0.1.0"
