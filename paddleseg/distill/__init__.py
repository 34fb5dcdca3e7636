"""Distillation: taps, feature losses, frozen teachers, and the step that joins them."""

from paddleseg.distill.adaptor import AdaptorBase

__all__ = ["AdaptorBase"]
