"""A trained model as a static graph or an ONNX file, and the files that it needs."""

from paddleseg.exporting.exporter import export

__all__ = ["export"]
