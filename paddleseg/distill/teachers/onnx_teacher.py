"""A teacher from any framework, as an ONNX file."""

import hashlib
import os
import re
from typing import Literal, Optional, Sequence

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError, counted, one_line, suggestion
from paddleseg.graphs.onnx_session import open_session
from paddleseg.models.base import SegmentationModel

# What PyTorch's and Paddle's exporters leave free is a name, or nothing.
AXES = ("N", "channels", "H", "W")


@manager.MODELS.add_component
class ONNXTeacher(SegmentationModel):
    """A frozen teacher that is an ONNX file, written by whatever framework; no other model can be one.

    Its logits may be of any size; they are resized bilinearly. A sublayer of each tap's name gives that tap,
    so that it is named as a tap of any model is. onnxruntime computes it, on a GPU if `onnxruntime-gpu` is
    installed.

    Args:
        path: the file. It has one input, float32 N x 3 x H x W, each size free or that of the training; if N
            is fixed, the batch comes in parts of N.
        num_classes: channels of the logits.
        outputs: {logits: name of the output, taps: {name: name of an output}}; None takes the only output as
            logits.
        mean: what its training subtracted from an image of values from 0 to 1, as `Normalize` does: one
            value, or one a channel in the order of `channel_order`.
        std: what that was divided by; likewise.
        channel_order: of its images.

    Attributes:
        of_any_size: whether it takes images of any height and width.

    Raises:
        UserError: onnxruntime or the file is missing, or the file has no such input and outputs.
    """

    # The check of a config refuses it where anything but a teacher is meant.
    teacher_only = True

    def __init__(
        self,
        path: str,
        num_classes: int,
        outputs: Optional[dict] = None,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        channel_order: Literal["rgb", "bgr"] = "rgb",
    ):
        super().__init__(backbone=None)
        self.check_arguments(outputs, mean, std)
        if not os.path.isfile(path):
            raise UserError(f"path: there is no file {path}")
        self._path = path
        self._num_classes = num_classes
        self._session = open_session(path, on_gpu=not paddle.get_device().startswith("cpu"))
        self._input, self._sizes = _input(self._session, path)
        self.of_any_size = self._sizes[2:] == [None, None]
        self._outputs = _outputs(self._session, path, outputs, num_classes)
        # The first of them is the logits.
        self._taps = list((outputs or {}).get("taps") or {})
        for name in self._taps:
            self.add_sublayer(name, nn.Identity())
        self._mean, self._std = (np.broadcast_to(np.float64(values), 3) for values in (mean, std))
        self._flipped = channel_order == "bgr"
        self.normalized_by()

    @staticmethod
    def check_arguments(outputs=None, mean=(0.5,), std=(0.5,), **_):
        """Refuse what the types of the arguments do not tell, before anything is built."""
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, 3):
                raise UserError(f"{name} must hold 1 or 3 numbers, not {list(values)}")
        if not all(std):
            raise UserError(f"std must hold no 0, not {list(std)}")
        if outputs is None:
            return
        for key in outputs:
            if key not in ("logits", "taps"):
                raise UserError(f"outputs: unknown key {key!r}; {suggestion(key, ('logits', 'taps'))}")
        if not isinstance(outputs.get("logits"), str):
            raise UserError("outputs: `logits` must name the output that holds the logits")
        taps = outputs.get("taps") or {}
        if not isinstance(taps, dict) or not all(isinstance(x, str) for pair in taps.items() for x in pair):
            raise UserError(f"outputs: taps must hold `name: name of an output`, not {taps!r}")
        taken = [name for name in taps if name in ("", "logit_list", "head_logit_list")]
        if taken:
            raise UserError(f"outputs: taps: {taken[0]!r} cannot be the name of a tap; choose another")

    def normalized_by(self, mean=(0.5,), std=(0.5,)):
        """Say by which `mean` and `std` of `Normalize` the RGB images that come are normalised."""
        theirs_mean, theirs_std = self._mean, self._std
        if self._flipped:
            theirs_mean, theirs_std = theirs_mean[::-1], theirs_std[::-1]
        mean, std = (np.broadcast_to(np.float64(values), 3) for values in (mean, std))
        scale, shift = std / theirs_std, (mean - theirs_mean) / theirs_std
        self._scale, self._shift = (np.float32(x).reshape(1, 3, 1, 1) for x in (scale, shift))

    @property
    def digest(self):
        """The SHA-256 of the file, and of the files beside it that hold its weights."""
        with open(self._path, "rb") as file:
            content = file.read()
        sha = hashlib.sha256(content)
        for name in sorted(_external_files(content)):
            with open(os.path.join(os.path.dirname(self._path), name), "rb") as file:
                while chunk := file.read(1 << 20):
                    sha.update(chunk)
        return sha.hexdigest()

    def head_logits(self, x):
        """Return the logits, a list of one N x num_classes x h x w, of images N x 3 x H x W; run the taps."""
        _check_size(x.shape, self._sizes, self._path)
        images = x.numpy() * self._scale + self._shift
        if self._flipped:
            images = images[:, ::-1]
        outputs = self._run(np.ascontiguousarray(images))
        logits, *taps = (paddle.to_tensor(output).astype("float32") for output in outputs)
        if logits.ndim != 4 or logits.shape[1] != self._num_classes:
            raise UserError(
                f"{self._path}: its logits are {list(logits.shape)}, where N x {self._num_classes} x h x w "
                f"are wanted (num_classes)"
            )
        for name, tap in zip(self._taps, taps):
            self._sub_layers[name](tap)
        self.head_logit_list = [logits]
        return list(self.head_logit_list)

    def _run(self, images):
        """Return the outputs for a batch, which comes in parts of N where the file fixes N."""
        count = images.shape[0]
        part = self._sizes[0] or count
        images = images.take(np.arange(-(-count // part) * part) % count, axis=0)
        parts = [self._run_part(images[start : start + part]) for start in range(0, len(images), part)]
        return [np.concatenate(outputs)[:count] for outputs in zip(*parts)]

    def _run_part(self, images):
        try:
            return self._session.run(self._outputs, {self._input: images})
        except Exception as error:  # of classes that are derived from nothing else
            size = " x ".join(map(str, images.shape))
            told = f"{self._path}: onnxruntime cannot run it on {size}: {one_line(error)}"
            raise UserError(told) from error


def _external_files(content):
    """Return the names of the files in which an ONNX file keeps tensors, relative to its folder.

    A tensor that lies elsewhere has an entry {key: "location", value: the name}, which is written as the
    bytes below, the length of the name and the name.
    """
    found = re.finditer(rb"\x0a\x08location\x12([\x01-\x7f])", content)
    return {content[m.end() : m.end() + m[1][0]].decode("utf-8", "replace") for m in found}


def _input(session, path):
    """Return the name of a session's input and its sizes, None where they are free."""
    inputs = session.get_inputs()
    told = ", ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
    if len(inputs) != 1:
        raise UserError(f"{path}: it must have one input, N x 3 x H x W, and has {len(inputs)}: {told}")
    sizes = [size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape]
    if inputs[0].type != "tensor(float)" or len(sizes) != 4 or sizes[1] not in (None, 3):
        raise UserError(f"{path}: its input must be tensor(float) N x 3 x H x W, and is {told}")
    return inputs[0].name, sizes


def _outputs(session, path, outputs, num_classes):
    """Return the names of a session's outputs that are asked for, the logits first."""
    known = {item.name: item for item in session.get_outputs()}
    if outputs is None:
        if len(known) != 1:
            raise UserError(f"outputs: {path} has several: {', '.join(known)}; say which holds the logits")
        outputs = {"logits": next(iter(known))}
    asked = {"logits": outputs["logits"]}
    asked.update({f"taps.{name}": output for name, output in (outputs.get("taps") or {}).items()})
    for key, name in asked.items():
        if name not in known:
            raise UserError(f"outputs.{key}: {path} has no output {name!r}; {suggestion(name, known)}")
    shape = known[outputs["logits"]].shape
    classes = shape[1] if len(shape) == 4 else None
    if len(shape) != 4 or (isinstance(classes, int) and classes != num_classes):
        raise UserError(
            f"outputs.logits: {path} gives {outputs['logits']} of shape {shape}, where "
            f"N x {num_classes} x h x w are wanted (num_classes)"
        )
    return list(asked.values())


def _check_size(shape, sizes, path):
    if shape[1] != 3:
        raise UserError(
            f"{path}: an ONNXTeacher takes RGB images, and the training's have {counted(shape[1], 'channel')}"
        )
    for axis in (2, 3):
        if sizes[axis] not in (None, shape[axis]):
            wanted = " x ".join(str(size or name) for size, name in zip(sizes, AXES))
            raise UserError(
                f"{path}: it takes images of {wanted} alone, and these are {shape[2]} x {shape[3]}; "
                f"export it with free H and W, or train at that size"
            )
