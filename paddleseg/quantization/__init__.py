"""A trained model in 8-bit integers: calibration, training with fake quantisation, and what INT8 keeps."""

from paddleseg.quantization.ptq import quantize

__all__ = ["quantize"]
