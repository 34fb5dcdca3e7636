"""onnxruntime as an engine: it runs an ONNX file of the teacher, which is exported once and kept."""

import hashlib
import json
import os
import tempfile
from importlib import metadata

import paddle
from filelock import FileLock

from paddleseg.distill.outputs import head_logits
from paddleseg.distill.teachers.engines import Engine, register_engine
from paddleseg.errors import UserError, one_line
from paddleseg.graphs import onnx_file
from paddleseg.graphs.onnx_session import open_session
from paddleseg.graphs.traced import run_and_forget
from paddleseg.utils.logger import logger
from paddleseg.weights.download import home

# The version of the export; raise it when the same teacher is exported in another way.
LAYOUT = 2
# Any N, H and W: onnxruntime was no faster with a file of fixed sizes.
SHAPE = (-1, 3, -1, -1)


@register_engine
class OnnxEngine(Engine):
    """A teacher's export under onnxruntime, which folds batch norm and activations into the convolutions.

    Args:
        path: the file, for any N, H and W; its outputs are the logits at the head and then the taps.
        num_logits: how many of its outputs are logits.
        keys: the keys of its taps, in the order of the outputs.

    Raises:
        UserError: onnxruntime cannot load the file.
    """

    name = "onnxruntime"
    cpu_only = True

    def __init__(self, path, num_logits, keys):
        self._session = open_session(path)
        self._input = self._session.get_inputs()[0].name
        self._num_logits = num_logits
        self._keys = list(keys)

    @classmethod
    def why_not(cls, teacher):
        """Return which package is missing, or that Paddle is too old, or None."""
        try:
            onnx_file.check_installed(cls.name)
        except UserError as error:
            return str(error)
        return None

    @classmethod
    def build(cls, teacher, reference):
        """Return an engine for a teacher, with the stored file if it still agrees, else with a new export.

        A stored file may be outdated, since its name does not depend on the code of a user's model. If
        several processes need the same file, one exports it and the others wait.

        Raises:
            UserError: the teacher cannot be exported, or the file cannot be loaded or stored.
        """
        path = home() / "teachers" / f"{_file_name(teacher, reference.keys)}.onnx"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                engine = _stored(path, reference)
                if engine is None or not reference.agrees(engine):
                    _export(teacher, reference.images, path)
                    engine = cls(path, reference.num_logits, reference.keys)
        except OSError as error:
            raise UserError(
                f"the export cannot be stored as {path}: {error}; set PADDLESEG_HOME to another folder"
            ) from error
        return engine

    def __call__(self, images):
        outputs = self._session.run(None, {self._input: images.numpy()})
        tensors = [paddle.to_tensor(output) for output in outputs]
        return tensors[: self._num_logits], dict(zip(self._keys, tensors[self._num_logits :]))


class _Exported(paddle.nn.Layer):
    """A teacher's logits at the head and its taps, as one flat list."""

    def __init__(self, model, taps):
        super().__init__()
        self.model = model
        self._taps = taps

    def forward(self, x):
        logits = head_logits(self.model, x, whole=self._taps.of_forward)
        # A tensor that occurs twice, such as logits that are tapped as well, must become two outputs.
        return [paddle.assign(tensor) for tensor in (*logits, *self._taps.read().values())]


def _stored(path, reference):
    if not path.exists():
        return None
    try:
        return OnnxEngine(path, reference.num_logits, reference.keys)
    except UserError as error:
        logger.warning(f"exporting the teacher again: {error}")
        return None


def _file_name(teacher, keys):
    """Return a digest of what the exported file depends on, except the code of a user's model."""
    identity = {
        "layout": LAYOUT,
        "module": type(teacher.model).__module__,
        "layers": repr(teacher.model),
        "weights": teacher.weights_digest,
        "taps": [str(key) for key in keys],
        "shape": SHAPE,
        "opset": onnx_file.OPSET,
        "paddle": paddle.__version__,
        "paddle2onnx": metadata.version("paddle2onnx"),
    }
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]


def _export(teacher, images, path):
    """Export a teacher to a temporary folder, then move the file to its path."""
    try:
        # A copy, since the conversion replaces methods of the layers.
        model, taps = teacher.taps.of_copy()
    except Exception as error:  # a user's model may hold anything
        raise UserError(f"{type(teacher.model).__name__} cannot be copied: {one_line(error)}") from error
    run_and_forget(model, images)
    taps.clear()
    exported = _Exported(model, taps)
    exported.eval()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as scratch:
        file = onnx_file.write(exported, scratch, SHAPE)
        os.replace(os.path.join(scratch, file), path)
    logger.info(
        f"teacher exported to {path} ({path.stat().st_size / 2**20:.1f} MiB), for this and later runs"
    )
