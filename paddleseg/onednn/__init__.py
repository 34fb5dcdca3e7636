"""Convolutions by the oneDNN library that Paddle's wheel brings and leaves unused in dynamic mode."""

from paddleseg.onednn.conv2d import Conv2D, adopt, conv2d, engine, use_engine

__all__ = ["Conv2D", "adopt", "conv2d", "engine", "use_engine"]
