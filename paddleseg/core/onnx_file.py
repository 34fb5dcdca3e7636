"""A static graph as an ONNX file, and the proof that it computes what the model does."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import paddle

from paddleseg.core.deploy_file import deployed_transforms
from paddleseg.core.onnx_operations import convertible
from paddleseg.core.static_graph import save_graph
from paddleseg.cvlibs import SegBuilder
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.datasets.dataset import Dataset
from paddleseg.errors import UserError, counted, one_line
from paddleseg.transforms import Compose
from paddleseg.utils.image_files import image_files
from paddleseg.utils.logger import logger
from paddleseg.utils.onnx_session import open_session

OPSET = 17
# Share of pixels whose class must be the model's: two libraries round differently where classes nearly tie.
AGREEMENT = 0.9999
# How far the numbers behind them may lie from the model's, as a share of the largest on an image. Rounding
# moves them by far less; what the converter loses of an operation moves them, but perhaps no class.
TOLERANCE = 1e-3
NOISE_SIZES = ((64, 96), (97, 65))
_NOISE = "images of seeded noise"
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


def compare(path, exported, cfg, args, shape):
    """Run an ONNX file and the model on the same images, and say how many pixels agree.

    Args:
        path: the ONNX file.
        exported: the `ExportedModel` that it was made of.
        cfg: the model's config.
        args: flags, with `images` (files, folders and lists, or None) and `max_images`.
        shape: the input's [N, C, H, W], -1 where it may be anything.

    Raises:
        UserError: there is no such image, or it cannot be read.
        ConversionError: onnxruntime does not run the file, or fewer than `AGREEMENT` of the pixels have the
            model's class, or numbers within `TOLERANCE` of the model's.
    """
    run = _runner(path, exported.output_op)
    source, batches = _batches(cfg, args, shape)
    _compare(run, source, ((batch, _numbers(exported, batch)) for batch in batches))
    if -1 in shape and source != _NOISE:
        # What the images do not show: several at once, and a side that the pyramid's bins do not divide.
        taken = []
        for batch in _noise(shape):
            with contextlib.suppress(Exception):  # not every model takes any size, and one may raise anything
                taken.append((batch, _numbers(exported, batch)))
        if taken:
            _compare(run, f"{_NOISE} of other sizes", taken)


def _numbers(exported, batch):
    with paddle.no_grad():
        return exported.numbers(paddle.to_tensor(batch)).numpy()


def _compare(run, source, answered):
    """Compare on (batch, the model's numbers) that come from `source`; log it or raise `ConversionError`."""
    equal = close = total = 0
    for batch, ours in answered:
        output, theirs = run(batch)
        classes = _classes(ours)
        equal += int((classes == _classes(output)).sum())
        close += int((np.abs(theirs - ours) <= TOLERANCE * np.abs(ours).max()).all(axis=1).sum())
        total += classes.size
    told = (
        f"{equal / total:.4%} of {total} pixels have the same class under onnxruntime and Paddle, on {source}"
    )
    if equal / total < AGREEMENT:
        raise ConversionError(f"the ONNX file is wrong and was not kept: {told}; {AGREEMENT:.2%} must")
    if close / total < AGREEMENT:
        raise ConversionError(
            f"the ONNX file is wrong and was not kept: {told}, but {1 - close / total:.2%} have logits or "
            f"probabilities that differ by more than {TOLERANCE:.1%} of the largest"
        )
    logger.info(f"ONNX file compared: {told}")


def _runner(path, output_op):
    """Return a function that gives a file's output for an array, and the numbers that it is made of.

    These are the logits if the output is classes, else the output itself. Both functions may raise
    `ConversionError`.
    """
    refused = "paddle2onnx has made a file of this model that onnxruntime cannot"
    try:
        session = open_session(path)
        if output_op == "argmax":
            session = open_session(_with_logits(path))
    except UserError as error:
        # The file will be gone when the message is read.
        why = one_line(error.__cause__ or error).replace(path, "model.onnx")
        raise ConversionError(f"{refused} load: {why[-300:]}") from error
    name = session.get_inputs()[0].name

    def run(image):
        try:
            outputs = session.run(None, {name: image})
        except Exception as error:  # as in `open_session`, of a class of its own
            told = one_line(error)[-300:]
            raise ConversionError(f"{refused} run on an input of {list(image.shape)}: {told}") from error
        return outputs[0], outputs[-1]

    return run


def _with_logits(path):
    """Write, beside a file that gives classes, a copy that gives their logits as well; return its path."""
    import onnx

    model = onnx.load(path)
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers[model.graph.output[0].name]
    while node.op_type != "ArgMax":  # after it, changes of type and shape
        node = makers[node.input[0]]
    model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
    beside = f"{path}.logits"
    onnx.save(model, beside)
    return beside


def _classes(output):
    """Return classes N x H x W of an output, which holds classes or a number for each of them."""
    return output if output.ndim == 3 else output.argmax(axis=1)


def _fitted(image, shape):
    """Return an image C x H x W as the batch that a graph of fixed sizes takes: repeated, cut, padded."""
    return _cut(np.stack([image] * (1 if shape[0] == -1 else shape[0])), shape)


def _cut(batch, shape):
    for axis in (2, 3):
        if shape[axis] != -1:
            batch = batch.take(np.arange(shape[axis]) % batch.shape[axis], axis=axis)
    return np.ascontiguousarray(batch)


def _batches(cfg, args, shape):
    """Return what the images are, in words, and an iterable of float32 arrays N x C x H x W."""
    compose = Compose(build_transforms(deployed_transforms(cfg)), img_channels=shape[1])

    def prepared(file):
        return _fitted(compose({"img": file})["img"], shape)

    if args.images:
        files = image_files(args.images)[: args.max_images]
        return f"{counted(len(files), 'image')} of --images", map(prepared, files)
    try:
        dataset = SegBuilder(cfg).val_dataset
    except UserError as error:
        logger.info(f"the config's validation images are not to be had: {error}")
        dataset = None
    if not dataset:  # or an empty one
        return _NOISE, _noise(shape)
    count = min(len(dataset), args.max_images)
    source = f"{count} of the config's validation images"
    if not isinstance(dataset, Dataset):  # an own one, which may read whatever it likes
        return source, (_fitted(dataset[i]["img"], shape) for i in range(count))
    return source, (prepared(image) for image, _ in dataset.file_list[:count])


def _noise(shape):
    """Return batches of seeded noise, two images where there may be any number."""
    rng = np.random.default_rng(0)
    count = 2 if shape[0] == -1 else shape[0]
    batches = [rng.standard_normal((count, shape[1], *size)).astype("float32") for size in NOISE_SIZES]
    return [_cut(batch, shape) for batch in batches]
