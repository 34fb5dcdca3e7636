"""Inference, scores on a data set, and the prediction of photographs."""

from paddleseg.evaluation.evaluator import evaluate
from paddleseg.evaluation.inference import infer
from paddleseg.evaluation.photographs import predict_images

__all__ = ["evaluate", "infer", "predict_images"]
