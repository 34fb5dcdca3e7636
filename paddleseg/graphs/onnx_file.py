"""A static graph as an ONNX file."""

import os
import subprocess
import sys

import paddle

from paddleseg.errors import UserError, one_line
from paddleseg.graphs.onnx_operations import convertible
from paddleseg.graphs.static_graph import save_graph

OPSET = 17
# Its default optimizer, Polygraphy, installs packages while it runs; "None" is no optimizer.
_CONVERSION = (
    "import sys, paddle2onnx as p; "
    "p.export(*sys.argv[1:4], opset_version=int(sys.argv[4]), optimize_tool='None')"
)


class ConversionError(UserError):
    """A model of which no ONNX file can be made that computes what the model does."""


def check_installed(asked="--format onnx"):
    """Refuse what cannot convert: Paddle 2, or a missing converter.

    Args:
        asked: the flag that needs it, for messages.

    Raises:
        UserError: with the command that mends it.
    """
    if int(paddle.__version__.split(".")[0]) < 3:
        raise UserError(
            f"{asked} needs Paddle 3, and this is {paddle.__version__}: paddle2onnx 2.1 reads no other's "
            f"graphs; do without it, or install paddlepaddle 3"
        )
    try:
        import onnxruntime  # noqa: F401
        import paddle2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{asked}: {error.name} is not installed: pip install paddle2onnx==2.1.0 onnxruntime"
        ) from None


def write(layer, folder, shape):
    """Write a layer as `model.onnx` to a folder, beside the graph that it is made of, and return that name.

    Args:
        layer, folder, shape: as in `save_graph`.

    Raises:
        UserError: it cannot be made a graph, or the graph has a leaky ReLU, which the converter gets wrong.
        ConversionError: the graph has an operation that the converter does not know.
    """
    with convertible():
        names = save_graph(layer, folder, shape)
    _refuse_leaky(os.path.join(folder, names["model"]))
    target = os.path.join(folder, "model.onnx")
    paths = [os.path.join(folder, names[key]) for key in ("model", "params")]
    # In a process of its own: its C++ part aborts the one that it runs in at some operations.
    done = subprocess.run(
        [sys.executable, "-c", _CONVERSION, *paths, target, str(OPSET)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not os.path.isfile(target):
        told = [line for line in done.stdout.splitlines() if line.strip()] or [f"status {done.returncode}"]
        why = next((line for line in told if "[ERROR]" in line), told[-1])
        raise ConversionError(f"paddle2onnx cannot convert this model: {one_line(why)[-300:]}")
    return "model.onnx"


def _refuse_leaky(path):
    """Refuse a graph that holds leaky ReLU all the same, of which the converter loses the slope.

    A file with another slope may have the model's classes on the images that it is compared on.
    """
    with open(path, encoding="utf-8") as file:
        if '"1.leaky_relu"' in file.read():
            raise UserError(
                "paddle2onnx loses the slope of leaky_relu, which could not be exchanged: the model calls "
                "leaky_relu_, or has imported leaky_relu by name; call paddle.nn.functional.leaky_relu, or "
                "use nn.LeakyReLU; --format paddle does without it"
            )
