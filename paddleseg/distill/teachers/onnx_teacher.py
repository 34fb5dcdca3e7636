"""A teacher from any framework, as an ONNX file."""

import hashlib
import os
import re
from typing import Literal, Optional, Sequence

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.distill.teachers.teacher_only import TeacherOnly
from paddleseg.errors import UserError, counted, one_line, suggestion
from paddleseg.graphs.onnx_session import open_session

AXES = ("N", "channels", "H", "W")


@manager.MODELS.add_component
class ONNXTeacher(TeacherOnly):
    """A frozen teacher that is an ONNX file, exported from any framework. It can be a teacher only.

    Its logits may have any size; they are resized bilinearly. A file without logits, such as a backbone,
    teaches features alone. For each tap the teacher has a sublayer of the tap's name, so a config names the
    tap like that of any model. onnxruntime computes the file. If Paddle runs on a GPU and
    `onnxruntime-gpu` is installed, onnxruntime asks for the GPU, which has not been tried.

    Args:
        path: the file. It has one input, float32 N x 3 x H x W, each size free or that of the training. If N
            is fixed, a batch is split into chunks of N.
        num_classes: channels of the logits; not needed without logits. Default None.
        outputs: {logits: name of the output, taps: {name: name of an output}}, or one of the two; None takes
            the only output as logits. Default None.
        mean: what its training subtracted from images of values from 0 to 1, as `Normalize` does: one
            value, or one for each channel in the order of `channel_order`. Default 0.5.
        std: what its training then divided by; one value or one for each channel. Default 0.5.
        channel_order: the order of the channels in its training, "rgb" or "bgr". Default "rgb".

    Attributes:
        path: the file's path.
        gives_logits: whether `outputs` names logits.
        of_any_size: whether it takes images of any height and width.

    Raises:
        UserError: onnxruntime or the file is missing, or the file has another input or other outputs.
    """

    def __init__(
        self,
        path: str,
        num_classes: Optional[int] = None,
        outputs: Optional[dict] = None,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        channel_order: Literal["rgb", "bgr"] = "rgb",
    ):
        super().__init__(backbone=None)
        self.check_arguments(outputs, num_classes, mean, std)
        if not os.path.isfile(path):
            raise UserError(f"path: there is no file {path}")
        self.path = path
        self._num_classes = num_classes
        self._session = open_session(path, on_gpu=not paddle.get_device().startswith("cpu"))
        self._input, self._sizes = _input(self._session, path)
        self.of_any_size = self._sizes[2:] == [None, None]
        outputs = {"logits": _only_output(self._session, path)} if outputs is None else outputs
        self.gives_logits = outputs.get("logits") is not None
        self._outputs = _outputs(self._session, path, outputs, num_classes)  # names, the logits first
        self._taps = list(outputs.get("taps") or {})
        for name in self._taps:
            self.add_sublayer(name, nn.Identity())
        self._flipped = channel_order == "bgr"
        in_rgb = slice(None, None, -1 if self._flipped else 1)
        self._mean, self._std = (np.broadcast_to(np.float64(values), 3)[in_rgb] for values in (mean, std))
        self.set_input_normalization()

    @staticmethod
    def check_arguments(outputs=None, num_classes=None, mean=(0.5,), std=(0.5,), **_):
        """Raise `UserError` for values that the types of the arguments allow, before anything is built."""
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, 3):
                raise UserError(f"{name} must hold 1 or 3 numbers, not {list(values)}")
        if not all(std):
            raise UserError(f"std must hold no 0, not {list(std)}")
        if outputs is not None:
            _check_names(outputs)
        if num_classes is None and (outputs is None or outputs.get("logits") is not None):
            raise UserError(
                "the key 'num_classes' is missing: the channels of the logits (a teacher of features alone, "
                "whose `outputs` names `taps` and no `logits`, needs none)"
            )

    def set_input_normalization(self, mean=(0.5,), std=(0.5,)):
        """Set the `mean` and `std` by which its RGB images are normalised, as `Normalize` takes them.

        Raises:
            UserError: they are not of one or three channels.
        """
        for values in (mean, std):
            if np.size(values) not in (1, 3):
                raise UserError(
                    f"{self.path}: an ONNXTeacher takes RGB images; these are normalised by {list(values)}"
                )
        mean, std = (np.broadcast_to(np.float64(values), 3) for values in (mean, std))
        scale, shift = std / self._std, (mean - self._mean) / self._std
        self._scale, self._shift = (np.float32(x).reshape(1, 3, 1, 1) for x in (scale, shift))

    @property
    def digest(self):
        """The SHA-256 of the file, and of the files in its folder that hold its weights."""
        with open(self.path, "rb") as file:
            content = file.read()
        sha = hashlib.sha256(content)
        for name in sorted(_external_files(content)):
            with open(os.path.join(os.path.dirname(self.path), name), "rb") as file:
                while chunk := file.read(1 << 20):
                    sha.update(chunk)
        return sha.hexdigest()

    def head_logits(self, x):
        """Return [logits N x num_classes x h x w] of images N x 3 x H x W; run the sublayers of the taps.

        The list is empty without logits.
        """
        _check_size(x.shape, self._sizes, self.path)
        images = x.numpy() * self._scale + self._shift
        if self._flipped:
            images = images[:, ::-1]
        outputs = self._run(np.ascontiguousarray(images))
        tensors = [paddle.to_tensor(output).astype("float32") for output in outputs]
        self.head_logit_list, taps = tensors[: int(self.gives_logits)], tensors[int(self.gives_logits) :]
        for logits in self.head_logit_list:
            if logits.ndim != 4 or logits.shape[1] != self._num_classes:
                raise UserError(
                    f"{self.path}: its logits are {list(logits.shape)} and must be "
                    f"N x {self._num_classes} x h x w (num_classes)"
                )
        for name, tap in zip(self._taps, taps):
            self._sub_layers[name](tap)
        return list(self.head_logit_list)

    def _run(self, images):
        """Return the outputs for a batch; where the file fixes N, run it on chunks of N images."""
        count = images.shape[0]
        n = self._sizes[0] or count
        # The last chunk is filled up with the first images, whose second outputs are cut off below.
        images = images.take(np.arange(-(-count // n) * n) % count, axis=0)
        chunks = [self._run_chunk(images[start : start + n]) for start in range(0, len(images), n)]
        return [np.concatenate(outputs)[:count] for outputs in zip(*chunks)]

    def _run_chunk(self, images):
        try:
            return self._session.run(self._outputs, {self._input: images})
        except Exception as error:  # onnxruntime's errors share no class
            size = " x ".join(map(str, images.shape))
            raise UserError(f"{self.path}: onnxruntime cannot run it on {size}: {one_line(error)}") from error


def _external_files(content):
    """Return the names of the files in which an ONNX file keeps tensors, relative to its folder.

    A tensor in another file has an entry {key: "location", value: the file's name}. Its bytes are those of
    the pattern, the length of the name and the name.
    """
    matches = re.finditer(rb"\x0a\x08location\x12([\x01-\x7f])", content)
    return {content[m.end() : m.end() + m[1][0]].decode("utf-8", "replace") for m in matches}


def _input(session, path):
    """Return the name of a session's input and its sizes, None where they are free."""
    inputs = session.get_inputs()
    listed = ", ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
    if len(inputs) != 1:
        raise UserError(f"{path}: it must have one input, N x 3 x H x W, and has {len(inputs)}: {listed}")
    # PyTorch's and Paddle's exporters write a free size as a name, or not at all.
    sizes = [size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape]
    if inputs[0].type != "tensor(float)" or len(sizes) != 4 or sizes[1] not in (None, 3):
        raise UserError(f"{path}: its input must be tensor(float) N x 3 x H x W, and is {listed}")
    return inputs[0].name, sizes


def _check_names(outputs):
    """Raise `UserError` unless `outputs` names logits, taps or both."""
    for key in outputs:
        if key not in ("logits", "taps"):
            raise UserError(f"outputs: unknown key {key!r}; {suggestion(key, ('logits', 'taps'))}")
    logits, taps = outputs.get("logits"), outputs.get("taps") or {}
    if not isinstance(logits, (str, type(None))):
        raise UserError(f"outputs: `logits` must name the output that holds the logits, not {logits!r}")
    if not isinstance(taps, dict) or not all(isinstance(x, str) for pair in taps.items() for x in pair):
        raise UserError(f"outputs: taps must hold `name: name of an output`, not {taps!r}")
    if logits is None and not taps:
        raise UserError(
            "outputs: neither `logits` nor `taps` are named, so the teacher would teach nothing; name the "
            "output that holds the logits, or `taps` to teach features alone"
        )
    taken = [name for name in taps if name in ("", "logit_list", "head_logit_list")]
    if taken:
        raise UserError(f"outputs: taps: {taken[0]!r} cannot be the name of a tap; choose another")


def _only_output(session, path):
    """Return the name of a session's only output."""
    names = [item.name for item in session.get_outputs()]
    if len(names) != 1:
        raise UserError(
            f"outputs: {path} has several: {', '.join(names)}; name the one that holds the logits, or `taps` "
            f"to teach features alone"
        )
    return names[0]


def _outputs(session, path, outputs, num_classes):
    """Return the names of the outputs to compute, the logits first."""
    known = {item.name: item for item in session.get_outputs()}
    logits = outputs.get("logits")
    names = {} if logits is None else {"logits": logits}
    names.update({f"taps.{name}": output for name, output in (outputs.get("taps") or {}).items()})
    for key, name in names.items():
        if name not in known:
            raise UserError(f"outputs.{key}: {path} has no output {name!r}; {suggestion(name, known)}")
    if logits is None:
        return list(names.values())
    shape = known[logits].shape
    classes = shape[1] if len(shape) == 4 else None
    if len(shape) != 4 or (isinstance(classes, int) and classes != num_classes):
        raise UserError(
            f"outputs.logits: {path} gives {logits} of shape {shape}, which must be "
            f"N x {num_classes} x h x w (num_classes)"
        )
    return list(names.values())


def _check_size(shape, sizes, path):
    if shape[1] != 3:
        raise UserError(
            f"{path}: an ONNXTeacher takes RGB images, and the training's have {counted(shape[1], 'channel')}"
        )
    for axis in (2, 3):
        if sizes[axis] not in (None, shape[axis]):
            wanted = " x ".join(str(size or name) for size, name in zip(sizes, AXES))
            raise UserError(
                f"{path}: it takes only images of {wanted}, and these are {shape[2]} x {shape[3]}; "
                f"export it with free H and W, or train at that size"
            )
