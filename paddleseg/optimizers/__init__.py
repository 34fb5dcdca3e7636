"""Optimizers and learning-rate schedules that a config can name."""

from paddleseg.optimizers.lr import (
    CosineAnnealingDecay,
    ExponentialDecay,
    MultiStepDecay,
    PiecewiseDecay,
    PolynomialDecay,
    StepDecay,
)
from paddleseg.optimizers.optimizer import SGD, Adam, AdamW, Momentum

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingDecay",
    "ExponentialDecay",
    "Momentum",
    "MultiStepDecay",
    "PiecewiseDecay",
    "PolynomialDecay",
    "StepDecay",
]
