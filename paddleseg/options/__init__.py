"""The settings of a run, each with its meaning, default and bounds. Commands make their flags from them."""

from paddleseg.options.annotations import (
    ConversionOptions,
    DrawOptions,
    LabelmeOptions,
    MaskOptions,
    SplitOptions,
    VocOptions,
)
from paddleseg.options.base import Options, option
from paddleseg.options.deployment import ExportOptions
from paddleseg.options.distillation import DistillOptions
from paddleseg.options.inference import EvalConfig, EvaluateOptions, PredictOptions
from paddleseg.options.pruning import PruneOptions
from paddleseg.options.quantization import PtqOptions, QatOptions
from paddleseg.options.report import CheckOptions, CompareOptions, CostOptions, ReportOptions
from paddleseg.options.training import ConfigChanges, TrainConfigChanges, TrainOptions

__all__ = [
    "CheckOptions",
    "CompareOptions",
    "ConfigChanges",
    "ConversionOptions",
    "CostOptions",
    "DistillOptions",
    "DrawOptions",
    "EvalConfig",
    "EvaluateOptions",
    "ExportOptions",
    "LabelmeOptions",
    "MaskOptions",
    "Options",
    "PredictOptions",
    "PruneOptions",
    "PtqOptions",
    "QatOptions",
    "ReportOptions",
    "SplitOptions",
    "TrainConfigChanges",
    "TrainOptions",
    "VocOptions",
    "option",
]
