"""What a command or a script calls: whole runs, from configs and options."""

from paddleseg.core.runs import distill, evaluate, predict, taps_table, train

__all__ = ["distill", "evaluate", "predict", "taps_table", "train"]
