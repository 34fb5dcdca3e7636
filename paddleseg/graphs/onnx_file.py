"""Write a layer as an ONNX file."""

import os
import subprocess
import sys

import paddle

from paddleseg.errors import UserError, one_line
from paddleseg.graphs.onnx_operations import convertible
from paddleseg.graphs.static_graph import save_graph

OPSET = 17
# Its default optimizer, Polygraphy, installs packages while it runs; "None" turns optimizers off.
_CONVERSION = (
    "import sys, paddle2onnx as p; "
    "p.export(*sys.argv[1:4], opset_version=int(sys.argv[4]), optimize_tool='None')"
)


class ConversionError(UserError):
    """paddle2onnx cannot convert a model, or its ONNX file does not compute what the model does."""


def check_installed(option="format onnx"):
    """Check that this Paddle's graphs can be converted and that the libraries for it are installed.

    Args:
        option: the option that needs them, for messages.

    Raises:
        UserError: Paddle is older than 3, or a library is missing; the message says what to install.
    """
    if int(paddle.__version__.split(".")[0]) < 3:
        raise UserError(
            f"{option} needs Paddle 3, and this is {paddle.__version__}, whose graphs paddle2onnx 2.1 cannot "
            f"read; leave {option} out, or install paddlepaddle 3"
        )
    try:
        import onnxruntime  # noqa: F401
        import paddle2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{option}: {error.name} is not installed: pip install paddle2onnx==2.1.0 onnxruntime"
        ) from None


def write(layer, folder, shape, opset=OPSET):
    """Write a layer to a folder as `model.onnx`, beside the static graph it is made of; return its name.

    Args:
        layer, folder, shape: as in `save_graph`.
        opset: the operator set, 7 to 21. Default `OPSET`.

    Raises:
        UserError: the layer cannot be made a graph, or the graph has a leaky ReLU, which paddle2onnx converts
            wrongly.
        ConversionError: paddle2onnx does not know an operation of the graph, or needs a newer operator set.
    """
    with convertible():
        names = save_graph(layer, folder, shape)
    _refuse_leaky_relu(os.path.join(folder, names["model"]))
    target = os.path.join(folder, "model.onnx")
    paths = [os.path.join(folder, names[key]) for key in ("model", "params")]
    # In a process of its own: for some operations the converter's C++ code aborts its process.
    process = subprocess.run(
        [sys.executable, "-c", _CONVERSION, *paths, target, str(opset)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if process.returncode or not os.path.isfile(target):
        lines = list(filter(str.strip, process.stdout.splitlines())) or [f"status {process.returncode}"]
        reason = next((line for line in lines if "[ERROR]" in line), lines[-1])
        raise ConversionError(f"paddle2onnx cannot convert this model: {one_line(reason)[-300:]}")
    _refuse_other_opset(target, opset)
    return "model.onnx"


def _refuse_other_opset(path, opset):
    """Refuse a file of another operator set than was asked for; paddle2onnx raises it where it must."""
    import onnx

    written = next(one.version for one in onnx.load(path).opset_import if not one.domain)
    if written != opset:
        raise UserError(f"opset {opset} has no form of all operations of this model; opset {written} has")


def _refuse_leaky_relu(path):
    """Refuse a graph in which `convertible` could not replace a leaky ReLU.

    A comparison of classes might not notice the slope that the converter loses.
    """
    with open(path, encoding="utf-8") as file:
        if '"1.leaky_relu"' in file.read():
            raise UserError(
                "paddle2onnx loses the slope of leaky_relu, which could not be replaced: the model calls "
                "leaky_relu_, or has imported leaky_relu by name; call paddle.nn.functional.leaky_relu, use "
                "nn.LeakyReLU, or choose format paddle"
            )
