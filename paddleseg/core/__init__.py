"""Whole runs: of Python objects, with PaddleSeg's parameters, and in `runs` of configs."""

from paddleseg.core.calls import distill, evaluate, predict, train

__all__ = ["distill", "evaluate", "predict", "train"]
