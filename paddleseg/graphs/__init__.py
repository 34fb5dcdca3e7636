"""Layers as static graphs and ONNX files."""
