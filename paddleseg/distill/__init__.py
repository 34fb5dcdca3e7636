"""Distillation: adaptors and taps, feature losses, the frozen teacher, and the step that joins them."""

from paddleseg.distill.adaptor import AdaptorBase

__all__ = ["AdaptorBase"]
