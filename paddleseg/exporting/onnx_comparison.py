"""Compare an ONNX file with the model that it was made of."""

import contextlib
from typing import NamedTuple

import numpy as np
import paddle

from paddleseg.cvlibs import SegBuilder
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.datasets.dataset import Dataset
from paddleseg.errors import UserError, counted, one_line
from paddleseg.graphs import open_session
from paddleseg.graphs.onnx_file import ConversionError
from paddleseg.transforms import Compose
from paddleseg.utils.image_files import image_files
from paddleseg.utils.logger import logger


class Limits(NamedTuple):
    """What an ONNX file of a precision must reach.

    Attributes:
        precision: its name.
        agreement: share of pixels that must have the model's class, and logits within `tolerance`.
        tolerance: allowed difference of logits or probabilities, as a share of the largest on an image.
    """

    precision: str
    agreement: float
    tolerance: float


# Two libraries round differently where classes nearly tie. An operation that was converted wrongly may change
# logits without changing a class, and far more than rounding does.
FLOAT32 = Limits("fp32", 0.9999, 1e-3)
# float16 has 11 bits. On noise, where classes nearly tie everywhere, logits of untrained networks differed by
# up to 0.12 % of the largest, and 0.08 % of the classes.
FLOAT16 = Limits("fp16", 0.995, 1e-2)
NOISE_SIZES = ((64, 96), (97, 65))
_NOISE = "images of seeded noise"


def compare(path, exported, cfg, options, shape, limits=FLOAT32):
    """Run an ONNX file and the model on the same images, and log how many pixels agree.

    Args:
        path: the ONNX file.
        exported: the `ExportedModel` that the file was made of.
        cfg: the model's config.
        options: `ExportOptions`.
        shape: the input's [N, C, H, W], -1 where any size will do.
        limits: what the file must reach. Default `FLOAT32`.

    Raises:
        UserError: there is no image to compare on, or it cannot be read.
        ConversionError: onnxruntime does not run the file, or it does not reach the limits.
    """
    run = _runner(path, exported.output_op, "onnxruntime's converter" if limits is FLOAT16 else "paddle2onnx")
    source, batches = _batches(cfg, options, shape)
    _compare(run, limits, source, ((batch, _scores(exported, batch)) for batch in batches))
    if -1 in shape and source != _NOISE:
        # Noise covers what the images may not: several at once, and sides that pooling bins do not divide.
        scored = []
        for batch in _noise(shape):
            with contextlib.suppress(Exception):  # not every model takes any size, and it may raise anything
                scored.append((batch, _scores(exported, batch)))
        if scored:
            _compare(run, limits, f"{_NOISE} of other sizes", scored)


def _scores(exported, batch):
    with paddle.no_grad():
        return exported.scores(paddle.to_tensor(batch)).numpy()


def _compare(run, limits, source, scored):
    """Compare on pairs of (batch, the model's scores) from `source`; log it or raise `ConversionError`."""
    equal = close = total = 0
    finite = True
    for batch, ours in scored:
        output, theirs = run(batch)
        classes = ours.argmax(axis=1)
        equal += int((classes == (output if output.ndim == 3 else output.argmax(axis=1))).sum())
        close += int((np.abs(theirs - ours) <= limits.tolerance * np.abs(ours).max()).all(axis=1).sum())
        total += classes.size
        finite = finite and bool(np.isfinite(theirs).all())
    result = (
        f"{equal / total:.4%} of {total} pixels have the same class under onnxruntime and Paddle, on {source}"
    )
    wrong = f"the ONNX file is wrong and was deleted: {result}"
    if limits is FLOAT16:
        overflow = "cannot be fp16, whose largest number is 65504"
        wrong = f"this model {'loses too much in fp16' if finite else overflow}: {result}"
    if equal / total < limits.agreement:
        raise ConversionError(f"{wrong}; at least {limits.agreement:.2%} must")
    if close / total < limits.agreement:
        raise ConversionError(
            f"{wrong}, but {1 - close / total:.2%} have logits or probabilities that differ by more than "
            f"{limits.tolerance:.1%} of the largest"
        )
    logger.info(f"ONNX file ({limits.precision}) compared: {result}")


def _runner(path, output_op, maker):
    """Return a function from an array to the file's output and its scores: logits or probabilities.

    Messages name the `maker` of the file.
    Both `_runner` and the function raise `ConversionError` where onnxruntime fails.
    """
    refusal = f"{maker} made an ONNX file of this model that onnxruntime cannot"
    try:
        session = open_session(path)
        if output_op == "argmax":
            session = open_session(_with_logits(path))
    except UserError as error:
        # The user never sees the temporary file, so the message names the final one.
        reason = one_line(error.__cause__ or error).replace(path, "model.onnx")
        raise ConversionError(f"{refusal} load: {reason[-300:]}") from error
    name = session.get_inputs()[0].name

    def run(image):
        try:
            outputs = session.run(None, {name: image})
        except Exception as error:  # onnxruntime's errors have no common class
            reason = one_line(error)[-300:]
            raise ConversionError(f"{refusal} run on an input of {list(image.shape)}: {reason}") from error
        return outputs[0], outputs[-1]

    return run


def _with_logits(path):
    """Copy a file that outputs classes to one that also outputs their logits; return the path of the copy."""
    import onnx

    model = onnx.load(path)
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers[model.graph.output[0].name]
    while node.op_type != "ArgMax":  # ArgMax is followed by changes of type and shape
        node = makers[node.input[0]]
    model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
    copy = f"{path}.logits"
    onnx.save(model, copy)
    return copy


def _batches(cfg, options, shape):
    """Return a description of the images, and an iterable of float32 batches N x C x H x W."""
    compose = deployed_preparation(cfg, shape[1])

    def prepared(file):
        return batch_of(compose({"img": file})["img"], shape)

    if options.images:
        files = image_files(options.images)[: options.max_images]
        return counted(len(files), "given image"), map(prepared, files)
    try:
        dataset = SegBuilder(cfg).val_dataset
    except UserError as error:
        logger.info(f"the config's validation images cannot be used: {error}")
        dataset = None
    if not dataset:  # or it is empty
        return _NOISE, _noise(shape)
    count = min(len(dataset), options.max_images)
    source = f"{count} of the config's validation images"
    if not isinstance(dataset, Dataset):  # a user's own class, whose files only it can read
        return source, (batch_of(dataset[i]["img"], shape) for i in range(count))
    return source, (prepared(image) for image, _ in dataset.file_list[:count])


def deployed_preparation(cfg, channels):
    """Return the `Compose` that prepares images as `deploy/infer.py` does.

    Args:
        cfg: the `Config`.
        channels: of the images.
    """
    transforms = build_transforms(cfg.deployed_transforms())
    return Compose(transforms, img_channels=channels, img_range=cfg.img_range)


def batch_of(image, shape):
    """Return an image C x H x W, repeated or cut, as a batch of the graph's fixed sizes."""
    return _resized(np.stack([image] * max(shape[0], 1)), shape)


def _resized(batch, shape):
    for axis in (2, 3):
        if shape[axis] != -1:
            batch = batch.take(np.arange(shape[axis]) % batch.shape[axis], axis=axis)
    return np.ascontiguousarray(batch)


def _noise(shape):
    """Return batches of seeded noise, of two images where the graph takes any number."""
    rng = np.random.default_rng(0)
    count = 2 if shape[0] == -1 else shape[0]
    batches = [rng.standard_normal((count, shape[1], *size)).astype("float32") for size in NOISE_SIZES]
    return [_resized(batch, shape) for batch in batches]
