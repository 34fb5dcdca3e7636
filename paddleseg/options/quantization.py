"""The settings of quantisations, after training and in training."""

import dataclasses
from typing import Literal, Optional, Sequence

from paddleseg.errors import UserError
from paddleseg.options.base import Options, option
from paddleseg.options.deployment import ExportOptions, check_input_shape
from paddleseg.options.distillation import DistillOptions

_EXPORT = {field.name: field for field in dataclasses.fields(ExportOptions)}


def _as_in_export(name):
    """Return the field of `ExportOptions` of that name."""
    field = _EXPORT[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


@dataclasses.dataclass(frozen=True)
class PtqOptions(Options):
    """How to turn a trained model into 8-bit integers without training it further."""

    model_path: Optional[str] = _as_in_export("model_path")
    save_dir: str = option("./output/quantized", "where model.onnx, deploy.yaml and quantization.json go")
    calibration_images: int = option(
        128, "how many training images the ranges of the activations are from, at most", at_least=1
    )
    method: Literal["minmax", "entropy", "percentile"] = option(
        "minmax",
        "how the range of an activation is found: its extremes, the least loss of information, or the ends "
        "that 99.99 % of its values lie between",
    )
    max_drop: float = option(
        0.01,
        "how much mIoU may be lost, 0 to 1; above it the layers that cost most stay in float",
        at_least=0,
        at_most=1,
    )
    seed: int = option(0, "chooses the training images", at_least=0)
    output_op: Literal["argmax", "softmax", "none"] = _as_in_export("output_op")
    input_shape: Optional[Sequence[int]] = _as_in_export("input_shape")

    def __post_init__(self):
        super().__post_init__()
        _check_one_image(self.input_shape)


@dataclasses.dataclass(frozen=True)
class QatOptions(DistillOptions):
    """How to train a student whose convolutions are fake-quantised, under teachers or by its labels alone."""

    model_path: Optional[str] = option(
        None, "the student's trained weights", default_text="the student config's model.pretrained"
    )
    calibration_images: int = option(
        128, "training images whose activations give the ranges that the training begins with", at_least=1
    )
    output_op: Literal["argmax", "softmax", "none"] = _as_in_export("output_op")
    input_shape: Optional[Sequence[int]] = _as_in_export("input_shape")

    def __post_init__(self):
        super().__post_init__()
        _check_one_image(self.input_shape)
        if self.to_static_training:
            raise UserError(
                "to_static_training: fake quantisation follows the ranges of each batch; leave it out"
            )
        if self.precision != "fp32":
            raise UserError(
                f"precision {self.precision}: fake quantisation computes in float32 what 8 bits will hold; "
                f"leave precision out"
            )


def _check_one_image(shape):
    """Raise `UserError` for an `input_shape` that is wrong, or whose model takes several images at a time."""
    check_input_shape(shape)
    if shape is not None and shape[0] not in (1, -1):
        raise UserError(
            f"input_shape {' '.join(map(str, shape))}: the INT8 model is measured on one image at a time; "
            f"give 1 as N, or -1 for any N"
        )
