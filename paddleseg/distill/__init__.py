"""Distillation: taps, feature losses, frozen teachers, and the step that joins them."""

# Only what is light to import: every config imports the connectors of this room, and so this file.
from paddleseg.distill.adaptor import AdaptorBase
from paddleseg.distill.features import Feature, Schedule
from paddleseg.distill.taps import Tap, Taps

__all__ = ["AdaptorBase", "Feature", "Schedule", "Tap", "Taps"]
