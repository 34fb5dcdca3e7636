"""A teacher as an ONNX file of its own, made once and kept for later runs."""

import hashlib
import json
import os
import tempfile
from importlib import metadata

import paddle
from filelock import FileLock

from paddleseg.checkpoints.resume import digest
from paddleseg.distill.outputs import head_logits
from paddleseg.distill.teachers.engines import OnnxEngine
from paddleseg.errors import UserError, one_line
from paddleseg.graphs import onnx_file
from paddleseg.graphs.traced import run_and_forget
from paddleseg.utils.logger import logger
from paddleseg.weights.download import home

# Goes up when the same teacher comes to be exported otherwise.
LAYOUT = 2
# Any N, H and W: onnxruntime was no faster for a file of fixed ones.
SHAPE = (-1, 3, -1, -1)


class Answers(paddle.nn.Layer):
    """A teacher's logits at the head and its taps, as one flat list.

    Args:
        model: a `paddle.nn.Layer`.
        taps: its `Taps`.
    """

    def __init__(self, model, taps):
        super().__init__()
        self.model = model
        self._taps = taps

    def forward(self, x):
        logits = head_logits(self.model, x, whole=self._taps.of_forward)
        # A tensor that is told twice, as logits that are tapped as well, must be two outputs.
        return [paddle.assign(tensor) for tensor in (*logits, *self._taps.read().values())]


def exported_engine(teacher, images, num_logits, keys, fits):
    """Return the `OnnxEngine` of a teacher, from the file that is kept or else from a new one.

    Of several processes one exports and the others wait for it.

    Args:
        teacher: a `Teacher`.
        images: some that it takes.
        num_logits: how many logits it gives.
        keys: of its taps, in their order.
        fits: `fits(engine) -> bool`; a file that was kept and does not fit is made anew. It may be stale,
            since no name tells of what a user's own code computes.

    Raises:
        UserError: it cannot be exported, run or kept.
    """
    path = home() / "teachers" / f"{_name(teacher, keys)}.onnx"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            kept = _kept(path, num_logits, keys)
            if kept is not None and fits(kept):
                return kept
            _export(teacher, images, path)
            return OnnxEngine(path, num_logits, keys)
    except OSError as error:
        raise UserError(f"cannot be kept as {path}: {error}; PADDLESEG_HOME names another folder") from error


def _kept(path, num_logits, keys):
    if not path.exists():
        return None
    try:
        return OnnxEngine(path, num_logits, keys)
    except UserError as error:
        logger.warning(f"made anew: {error}")
        return None


def _name(teacher, keys):
    """Return the digest of everything that the file depends on and that can be named."""
    told = {
        "layout": LAYOUT,
        "module": type(teacher.model).__module__,
        "layers": repr(teacher.model),
        "weights": digest(teacher.model),
        "taps": [str(key) for key in keys],
        "shape": SHAPE,
        "opset": onnx_file.OPSET,
        "paddle": paddle.__version__,
        "paddle2onnx": metadata.version("paddle2onnx"),
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]


def _export(teacher, images, path):
    """Write the file beside and rename it."""
    try:
        # Conversion rewrites the methods of the layers that it has met.
        model, taps = teacher.taps.of_copy()
    except Exception as error:  # whatever stands on a user's model
        raise UserError(f"{type(teacher.model).__name__} cannot be copied: {one_line(error)}") from error
    run_and_forget(model, images)
    taps.clear()
    answers = Answers(model, taps)
    answers.eval()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as scratch:
        onnx = onnx_file.write(answers, scratch, SHAPE)
        os.replace(os.path.join(scratch, onnx), path)
    logger.info(f"exported to {path} ({path.stat().st_size / 2**20:.1f} MiB), where later runs find it")
