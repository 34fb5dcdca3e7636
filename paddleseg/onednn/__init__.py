"""Convolutions by the oneDNN library that Paddle's wheel brings and leaves unused in dynamic mode."""

from paddleseg.onednn.convolution import (
    ONEDNN,
    Conv2D,
    adopt,
    are_plain,
    conv2d,
    engine,
    paddle_alone,
    use_engine,
)
from paddleseg.onednn.fused import fold, freeze, fused
from paddleseg.onednn.residual import Residual, fused_residuals

__all__ = [
    "ONEDNN",
    "Conv2D",
    "Residual",
    "adopt",
    "are_plain",
    "conv2d",
    "engine",
    "fold",
    "freeze",
    "fused",
    "fused_residuals",
    "paddle_alone",
    "use_engine",
]
