"""A trained model as a static graph or an ONNX file, with what it needs beside it."""

from paddleseg.exporting.exporter import export

__all__ = ["export"]
