"""The ranges of a model's activations on images, which 8 bits have to cover."""

import os
import tempfile

import numpy as np

from paddleseg.errors import UserError, one_line
from paddleseg.graphs import open_session
from paddleseg.quantization import thresholds
from paddleseg.quantization.qdq import activations, read_onnx

BINS = 2048
TOGETHER = 16  # activations of an image that are in memory at a time


def calibrate(path, batches, method="minmax", float_nodes=()):
    """Return {tensor: (low, high)} of all `activations` of a file, floats.

    The extremes are found within the graph. For the other methods, the images run once more for each
    `TOGETHER` activations, whose histograms between the extremes are summed up.

    Args:
        path: a file of `qdq.folded`.
        batches: a function that returns an iterable of float32 N x C x H x W, the same each time.
        method: "minmax" takes the extremes; "entropy" and "percentile" cut off rare values, see
            `thresholds`. Default "minmax".
        float_nodes: as in `qdq.write_int8`. Default none.

    Raises:
        UserError: there is no image, the model does not run on one, or an activation is not finite.
    """
    names = activations(path, float_nodes)
    extremes = _extremes(path, names, batches)
    if method == "minmax":
        return extremes
    cut = {"entropy": thresholds.entropy, "percentile": thresholds.percentile}[method]
    ranges = {}
    for start in range(0, len(names), TOGETHER):
        counts = _histograms(path, names[start : start + TOGETHER], batches, extremes)
        ranges.update({name: cut(count, *extremes[name]) for name, count in counts.items()})
    return ranges


def _extremes(path, names, batches):
    """Return {tensor: (least value, largest value)}."""
    import onnx

    model, outputs = read_onnx(path), []
    for name in names:
        for kind in ("ReduceMin", "ReduceMax"):
            outputs.append(f"{name}.{kind}")
            model.graph.node.append(onnx.helper.make_node(kind, [name], outputs[-1:], keepdims=0))
    rows = np.array([*map(_runner(path, model, outputs), batches())], np.float64)
    if not len(rows):
        raise UserError("there is no image to calibrate on")
    ends = rows.min(axis=0)[0::2], rows.max(axis=0)[1::2]
    for name, low, high in zip(names, *ends):
        if not np.isfinite([low, high]).all():
            raise UserError(f"{path}: the activation {name!r} is not finite on the images to calibrate on")
    return {name: (float(low), float(high)) for name, low, high in zip(names, *ends)}


def _histograms(path, names, batches, extremes):
    """Return {tensor: counts of its values in `BINS` bins between its extremes, int64}."""
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for values in map(_runner(path, read_onnx(path), names), batches()):
        for name, value in zip(names, values):
            counts[name] += np.histogram(value, BINS, extremes[name])[0]
    return counts


def _runner(path, model, names):
    """Return a function from a batch to the tensors `names` of a model; `path` is for messages."""
    import onnx

    source = model.graph.input[0].name
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, os.path.join(folder, "outputs.onnx"))
        session = open_session(os.path.join(folder, "outputs.onnx"))

    def run(batch):
        try:
            return session.run(names, {source: batch})
        except Exception as error:  # onnxruntime's errors have no common class
            size = " x ".join(map(str, batch.shape))
            raise UserError(f"{path} does not run on an input of {size}: {one_line(error)[-300:]}") from error

    return run
