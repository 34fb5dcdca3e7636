"""Layers as static graphs and ONNX files."""

from paddleseg.graphs.onnx_session import open_session
from paddleseg.graphs.static_graph import save_graph
from paddleseg.graphs.traced import Traced, run_and_forget

__all__ = ["Traced", "open_session", "run_and_forget", "save_graph"]
