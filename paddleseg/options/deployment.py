"""The settings of an export."""

import dataclasses
from typing import Literal, Optional, Sequence

from paddleseg.errors import UserError
from paddleseg.options.base import Options, option


@dataclasses.dataclass(frozen=True)
class ExportOptions(Options):
    """How to export a trained model."""

    model_path: Optional[str] = option(None, "weights", default_text="the config's model.pretrained")
    save_dir: str = option("./output/inference_model", "where the exported files go")
    format: Literal["paddle", "onnx"] = option("paddle", "for Paddle Inference, or ONNX")
    precision: Literal["fp32", "fp16"] = option(
        "fp32",
        "of weights and operations; fp16 halves an ONNX file, whose input and output stay float32, and is "
        "for GPUs: a CPU computes it no faster",
    )
    opset: Optional[int] = option(
        None, "operator set of the ONNX file", at_least=7, at_most=21, default_text="17"
    )
    output_op: Literal["argmax", "softmax", "none"] = option(
        "argmax",
        "give classes, probabilities or logits; with probabilities or logits deploy/infer.py makes the same "
        "masks as predict.py at a photograph's own size, with classes it does not",
    )
    input_shape: Optional[Sequence[int]] = option(
        None,
        "shape of the input, -1 where any size will do",
        nargs=4,
        metavar=("N", "C", "H", "W"),
        default_text="-1 C -1 -1 with the C of the config's images",
    )
    images: Optional[Sequence[str]] = option(
        None,
        "images, folders or lists on which an ONNX file is compared with the model",
        default_text="the config's validation images",
    )
    max_images: int = option(20, "how many of these images at most", at_least=1)

    def __post_init__(self):
        super().__post_init__()
        check_input_shape(self.input_shape)
        if self.precision != "fp32" and self.format != "onnx":
            raise UserError(
                "precision fp16 needs format onnx: the weights of a Paddle graph stay float32, and Paddle "
                "Inference itself computes in fp16 where its Config asks a GPU for it"
            )
        if self.opset is not None and self.format != "onnx":
            raise UserError("opset is the operator set of an ONNX file; it needs format onnx")
        if self.images and self.format != "onnx":
            raise UserError("images are what an ONNX file is compared on; they need format onnx")


def check_input_shape(shape):
    """Raise `UserError` unless the option `input_shape` is None or holds N, C, H and W."""
    if shape is not None and (
        len(shape) != 4 or any(size < 1 and size != -1 for size in shape) or shape[1] == -1
    ):
        raise UserError(
            f"input_shape {' '.join(map(str, shape))}: it takes N C H W, each a whole number above 0, or "
            f"-1 for any N, H, W"
        )
