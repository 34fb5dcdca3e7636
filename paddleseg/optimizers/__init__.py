"""Optimizers and learning-rate schedules, by the names that a config gives them."""

from paddleseg.optimizers.lr import (
    CosineAnnealingDecay,
    ExponentialDecay,
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
    "PiecewiseDecay",
    "PolynomialDecay",
    "StepDecay",
]
