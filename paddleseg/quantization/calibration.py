"""The ranges of a model's activations on images, which 8 bits have to cover."""

import os
import tempfile

import numpy as np

from paddleseg.errors import UserError, one_line
from paddleseg.graphs import open_session
from paddleseg.quantization import thresholds
from paddleseg.quantization.qdq import activations, read_onnx

BINS = 2048


def calibrate(path, batches, method="minmax", float_nodes=()):
    """Return {tensor: (low, high)} of all `activations` of a file, floats.

    In memory are the activations of one batch and, of each tensor, one histogram of `BINS` bins. "entropy"
    and "percentile" run the images twice: the first run finds the ends of the histograms.

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
    run = _runner(path, names)
    extremes = _extremes(names, map(run, batches()))
    for name, ends in extremes.items():
        if not np.isfinite(ends).all():
            raise UserError(f"{path}: the activation {name!r} is not finite on the images to calibrate on")
    if method == "minmax":
        return extremes
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for values in map(run, batches()):
        for name, value in zip(names, values):
            counts[name] += np.histogram(value, BINS, extremes[name])[0]
    cut = {"entropy": thresholds.entropy, "percentile": thresholds.percentile}[method]
    return {name: cut(counts[name], *extremes[name]) for name in names}


def _extremes(names, runs):
    extremes = {}
    for values in runs:
        for name, value in zip(names, values):
            low, high = extremes.get(name, (np.inf, -np.inf))
            extremes[name] = min(low, float(value.min())), max(high, float(value.max()))
    if not extremes:
        raise UserError("there is no image to calibrate on")
    return extremes


def _runner(path, names):
    """Return a function from a batch to the tensors `names` of a file, in their order."""
    import onnx

    model = read_onnx(path)
    source = model.graph.input[0].name
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, os.path.join(folder, "activations.onnx"))
        session = open_session(os.path.join(folder, "activations.onnx"))

    def run(batch):
        try:
            return session.run(names, {source: batch})
        except Exception as error:  # onnxruntime's errors have no common class
            size = " x ".join(map(str, batch.shape))
            raise UserError(f"{path} does not run on an input of {size}: {one_line(error)[-300:]}") from error

    return run
