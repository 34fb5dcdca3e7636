"""What a command or a script calls: whole runs, from configs and options."""

from paddleseg.core.runs import distill, evaluate, taps_table, train
from paddleseg.evaluation.photographs import predict_images as predict

__all__ = ["distill", "evaluate", "predict", "taps_table", "train"]
