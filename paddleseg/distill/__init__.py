"""Distillation: taps, feature losses, frozen teachers, and the step that joins them."""

import importlib

# Only what is light to import: every config imports the connectors of this room, and so this file.
from paddleseg.distill.adaptor import AdaptorBase
from paddleseg.distill.features import Feature, Schedule
from paddleseg.distill.taps import Tap, Taps

__all__ = ["AdaptorBase", "Distiller", "Feature", "Schedule", "Tap", "Taps"]


def __getattr__(name):
    """Import `Distiller`, and with it the training, when it is first used."""
    if name == "Distiller":
        return importlib.import_module("paddleseg.distill.distiller").Distiller
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
