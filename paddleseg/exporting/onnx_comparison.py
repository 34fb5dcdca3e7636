"""The proof that an ONNX file computes what the model does that it was made of."""

import contextlib

import numpy as np
import paddle

from paddleseg.cvlibs import SegBuilder
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.datasets.dataset import Dataset
from paddleseg.errors import UserError, counted, one_line
from paddleseg.graphs.onnx_file import ConversionError
from paddleseg.graphs.onnx_session import open_session
from paddleseg.transforms import Compose
from paddleseg.utils.image_files import image_files
from paddleseg.utils.logger import logger

# Share of pixels whose class must be the model's: two libraries round differently where classes nearly tie.
AGREEMENT = 0.9999
# How far the numbers behind them may lie from the model's, as a share of the largest on an image. Rounding
# moves them by far less; what the converter loses of an operation moves them, but perhaps no class.
TOLERANCE = 1e-3
NOISE_SIZES = ((64, 96), (97, 65))
_NOISE = "images of seeded noise"


def compare(path, exported, cfg, options, shape):
    """Run an ONNX file and the model on the same images, and say how many pixels agree.

    Args:
        path: the ONNX file.
        exported: the `ExportedModel` that it was made of.
        cfg: the model's config.
        options: `ExportOptions`.
        shape: the input's [N, C, H, W], -1 where it may be anything.

    Raises:
        UserError: there is no such image, or it cannot be read.
        ConversionError: onnxruntime does not run the file, or fewer than `AGREEMENT` of the pixels have the
            model's class, or numbers within `TOLERANCE` of the model's.
    """
    run = _runner(path, exported.output_op)
    source, batches = _batches(cfg, options, shape)
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


def _batches(cfg, options, shape):
    """Return what the images are, in words, and an iterable of float32 arrays N x C x H x W."""
    compose = Compose(build_transforms(cfg.deployed_transforms()), img_channels=shape[1])

    def prepared(file):
        return _fitted(compose({"img": file})["img"], shape)

    if options.images:
        files = image_files(options.images)[: options.max_images]
        return f"{counted(len(files), 'image')} of --images", map(prepared, files)
    try:
        dataset = SegBuilder(cfg).val_dataset
    except UserError as error:
        logger.info(f"the config's validation images are not to be had: {error}")
        dataset = None
    if not dataset:  # or an empty one
        return _NOISE, _noise(shape)
    count = min(len(dataset), options.max_images)
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
