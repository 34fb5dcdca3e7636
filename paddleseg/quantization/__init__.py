"""A trained model in 8-bit integers: calibration, INT8 ONNX files, and what they keep of the float model."""

from paddleseg.quantization.ptq import quantize

__all__ = ["quantize"]
