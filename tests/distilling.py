"""Losses and connectors as users bring them, configs of distillations, and what these have logged."""

import json
import os
from typing import Optional

import numpy as np
import paddle
import paddle.nn as nn
import tiny

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.distill import AdaptorBase
from paddleseg.distill.connectors import ConvConnector

built = []


class Both(AdaptorBase):
    """Names a layer of a `TinyNet`, and a tensor that its `forward` leaves."""

    def mapping_layers(self):
        mapping = {"hidden_0": "body.0"}
        if self.add_tensor:
            mapping["hidden_1"] = self.model.mixed
        return mapping


@manager.LOSSES.add_component
class MemoryLoss(nn.Layer):
    """Needs labels, has a parameter and a buffer, and takes channels, classes and the ignored label."""

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        student_channels: Optional[int] = None,
        teacher_channels: Optional[int] = None,
        ignore_index: int = 255,
        scale: float = 1.0,
    ):
        super().__init__()
        self.arguments = (student_channels, teacher_channels, num_classes, ignore_index)
        self.scale = scale
        self.conv = nn.Conv2D(student_channels, teacher_channels, 1)
        self.register_buffer("seen", paddle.zeros([1]))

    def forward(self, student, teacher, label):
        self.seen.set_value(self.seen + label.shape[0])
        valid = (label != self.arguments[3]).astype(student.dtype).unsqueeze(1)
        return self.scale * (((self.conv(student) - teacher) ** 2) * valid).mean()


@manager.LOSSES.add_component
class MaskedGap(nn.Layer):
    """The mean squared gap over the pixels that are not ignored; stores its label as `label`."""

    def __init__(self, ignore_index: int = 255):
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, student, teacher, label=None):
        self.label = label
        gap = ((student - teacher) ** 2).mean(axis=1)
        if label is None:
            return gap.mean()
        valid = (label != self.ignore_index).astype(gap.dtype)
        return (gap * valid).sum() / valid.sum()


@manager.CONNECTORS.add_component
class KeptConnector(ConvConnector):
    """A convolution that a test finds again in `built`."""

    def __init__(self, student_channels: int, teacher_channels: int):
        super().__init__(student_channels, teacher_channels)
        built.append(self)


def feature(student="body.0", loss="L2Loss", **more):
    """Return one item of a config's `distill.features`; `loss` may be a name or a section."""
    loss = {"type": loss} if isinstance(loss, str) else loss
    return {"student": student, "teacher": student, "loss": loss, **more}


def write_teacher(folder, section, name="teacher", seed=9):
    """Save the weights of a model's section, and a config that names them; return the config's path."""
    paddle.seed(seed)
    model = build_component(section, manager.MODELS, "model")
    path = tiny.save_weights(os.path.join(folder, f"{name}.pdparams"), model)
    dic = {"model": {**section, "pretrained": path}, "imports": ["tiny"]}
    return tiny.write_yaml(os.path.join(folder, f"{name}.yml"), dic)


def distill(folder, student, teachers, name="run", **options):
    """Distil a config, a dict, under teachers' configs, paths; return the folder of the run."""
    config = tiny.write_yaml(os.path.join(folder, f"{name}.yml"), student)
    run = os.path.join(folder, name)
    tiny.distill(config, teachers, save_dir=run, **options)
    return run


def logged_losses(folder):
    """Return the losses that a run has logged, a list of {name: number}."""
    with open(os.path.join(folder, "history.jsonl"), encoding="utf-8") as file:
        return [line["losses"] for line in map(json.loads, file) if "losses" in line]


def with_statistics(model, seed=5):
    """Return a model whose batch norms have random statistics, without which they change nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._mean.set_value(rng.uniform(-0.2, 0.2, layer._mean.shape).astype("float32"))
            layer._variance.set_value(rng.uniform(0.7, 1.4, layer._variance.shape).astype("float32"))
    return model
