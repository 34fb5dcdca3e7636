"""The one training loop, for whatever a step trains."""

from paddleseg.training.fitting import fit
from paddleseg.training.step import Step, SupervisedStep, TrainedLayer

__all__ = ["Step", "SupervisedStep", "TrainedLayer", "fit"]
