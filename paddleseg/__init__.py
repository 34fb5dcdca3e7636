"""Distillation-first semantic segmentation on PaddlePaddle."""

import zlib  # noqa: F401  Paddle 2.6.2 followed by PaddleSlim crashes unless zlib was loaded before both.

__version__ = "0.1.0"
