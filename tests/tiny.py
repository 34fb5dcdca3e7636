"""A data set, models and configs that are small enough to train within a test."""

import argparse
import os
import re

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import yaml

from paddleseg.cvlibs import manager
from paddleseg.flags import EVALUATION_FLAGS
from paddleseg.models.base import SegmentationModel

SIZE = 32


def write_optic_disc(root, train=8, val=5):
    """Write bright discs on dark noise in the layout of the optic-disc set; return its path as text."""
    rng = np.random.default_rng(3)
    for folder in ("JPEGImages", "Annotations"):
        os.makedirs(os.path.join(root, folder))
    for split, count in (("train", train), ("val", val)):
        lines = []
        for i in range(count):
            mask = np.zeros((SIZE, SIZE), "uint8")
            cv2.circle(mask, tuple(int(c) for c in rng.integers(8, 24, 2)), 6, 1, -1)
            image = rng.integers(0, 60, (SIZE, SIZE, 3)) + 150 * mask[..., None]
            name = f"{split}_{i}"
            cv2.imwrite(os.path.join(root, "JPEGImages", name + ".jpg"), image.astype("uint8"))
            cv2.imwrite(os.path.join(root, "Annotations", name + ".png"), mask)
            lines.append(f"JPEGImages/{name}.jpg Annotations/{name}.png")
        with open(os.path.join(root, f"{split}_list.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return str(root)


@manager.MODELS.add_component
class TinyNet(nn.Layer):
    """Two convolutions; leaves their sum with the input's mean on itself as `mixed`."""

    def __init__(self, num_classes: int = 2, width: int = 4, outputs: int = 1, dropout: float = 0.0):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, width, 3, padding=1), nn.BatchNorm2D(width), nn.ReLU())
        self.unused = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.LayerList([nn.Conv2D(width, num_classes, 1) for _ in range(outputs)])

    def forward(self, x):
        y = self.body(x)
        self.mixed = y + x.mean([0, 1, 2, 3], keepdim=True)  # as the ONNX converter knows it
        self.logit_list = [head(self.dropout(y)) for head in self.heads]
        return self.logit_list


@manager.MODELS.add_component
class BareNet(TinyNet):
    """`TinyNet` that returns a tensor instead of a list."""

    def forward(self, x):
        return super().forward(x)[0]


@manager.MODELS.add_component
class StridedNet(SegmentationModel):
    """`SegmentationModel` whose head gives its logits at 1/`stride` of the size of the images."""

    def __init__(self, num_classes: int = 2, width: int = 4, stride: int = 4, align_corners: bool = False):
        super().__init__(None, align_corners)
        conv = nn.Conv2D(3, width, 3, stride=stride, padding=1)
        self.body = nn.Sequential(conv, nn.BatchNorm2D(width), nn.ReLU())
        self.classify = nn.Conv2D(width, num_classes, 1)

    def head_logits(self, x):
        self.mixed = self.body(x)
        self.head_logit_list = [self.classify(self.mixed)]
        return list(self.head_logit_list)


def config(root, model="TinyNet", distill=True, **changes):
    """Return a config as a dict: `model`, a type or a section, on a tiny data set; `changes` at the top."""
    transforms = [{"type": "RandomHorizontalFlip"}, {"type": "Normalize"}]
    section = model if isinstance(model, dict) else {"type": model, "num_classes": 2}
    dic = {
        "batch_size": 4,
        "iters": 4,
        "train_dataset": {"type": "OpticDiscSeg", "dataset_root": root, "transforms": transforms},
        "val_dataset": {"type": "OpticDiscSeg", "dataset_root": root, "transforms": transforms[1:]},
        "optimizer": {"type": "SGD", "momentum": 0.9, "weight_decay": 4.0e-5},
        "lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 0.05, "end_lr": 0, "power": 0.9},
        "loss": {"types": [{"type": "CrossEntropyLoss"}], "coef": [1]},
        "model": section,
        "imports": ["tiny"],
    }
    if distill:
        dic["distill_loss"] = {"types": [{"type": "KLLoss"}], "coef": [3]}
    return {**dic, **changes}


def write_yaml(path, dic):
    """Write a config; return its path as text."""
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(dic, file)
    return str(path)


def save_weights(path, model):
    """Save a model's weights; return the path as text."""
    paddle.save(model.state_dict(), str(path))
    return str(path)


def balance(model, bias, image):
    """Move the `bias` of a model's two classes so that each has half the pixels of an image, C x H x W."""
    with paddle.no_grad():
        background, disc = model(paddle.to_tensor(image[None]))[0][0]
    bias.set_value(bias + paddle.stack([paddle.median(disc - background), paddle.zeros([])]))


def arguments(**given):
    """Return the parsed flags of a command that trains or evaluates, their defaults changed by `given`."""
    flags = {
        "device": "cpu",
        "num_workers": 0,
        "opts": None,
        "do_eval": False,
        "no_eval": False,
        "log_style": "plain",
        "use_vdl": False,
        "vdl_images": 2,
        "resume_model": None,
        "resume_anyway": False,
        "use_ema": False,
        "early_stop_intervals": None,
        "accumulate_steps": 1,
        "max_bad_steps": 10,
        "max_bad_samples": 0,
        "precision": "fp32",
        "amp_level": "O1",
        "data_format": "NCHW",
        "to_static_training": False,
        "profile": None,
        "iters": None,
        "batch_size": None,
        "learning_rate": None,
        "save_interval": 2,
        "log_iters": 1,
        "keep_checkpoint_max": 5,
        "seed": 0,
        "cache_images": "none",
        "cache_images_limit": None,
        "cache_images_dir": None,
        "cache_views": None,
        "teacher_cache": None,
        "cache_dtype": "float16",
        "teacher_opts": None,
        "allow_random_teacher": False,
        "list_taps": False,
        "teacher_engine": "paddle",
    }
    return argparse.Namespace(**{**dict.fromkeys(EVALUATION_FLAGS), **flags, **given})


DISTILL_FILE = """
from {source} import AdaptorBase


def prepare_distill_adaptor():
    class Student(AdaptorBase):
        def mapping_layers(self):
            mapping = {{"hidden_0": "{layer}"}}
            if self.add_tensor:
                mapping["hidden_1"] = self.model.{tensor}
            return mapping

    class Teacher(AdaptorBase):
        def mapping_layers(self):
            mapping = {{"hidden_0": "{teacher_layer}"}}
            if self.add_tensor:
                mapping["hidden_1"] = self.model.{teacher_tensor}
            return mapping

    return Student, Teacher


def prepare_distill_config():
    return {features}
"""


def feature(index=0, loss_function="SegChannelwiseLoss", weight=1.0, **more):
    """Return one item of `prepare_distill_config()`."""
    return {
        "feature_type": "hidden",
        "s_feature_idx": index,
        "t_feature_idx": index,
        "loss_function": loss_function,
        "weight": weight,
        **more,
    }


def write_distill_file(path, features, layer="body.0", tensor="mixed", source="paddleseg.distill", **teacher):
    """Write a distill_config.py that names one layer and one tensor of each model; return its path."""
    names = {"teacher_layer": layer, "teacher_tensor": tensor, **teacher}
    with open(path, "w", encoding="utf-8") as file:
        file.write(DISTILL_FILE.format(layer=layer, tensor=tensor, source=source, features=features, **names))
    return str(path)


def flat_arrays(path):
    """Return {dotted key: array} of a file that `paddle.save` wrote, inner dicts included."""

    def flatten(value, prefix):
        if isinstance(value, dict):
            for key, item in value.items():
                if key != "StructuredToParameterName@@":
                    yield from flatten(item, f"{prefix}{key}.")
        else:
            yield prefix[:-1], np.asarray(value)

    return dict(flatten(paddle.load(path, return_numpy=True), ""))


def logged_losses(text):
    """Return {iteration: epoch and losses as printed} of a log; what is printed twice must be the same."""
    lines = {}
    for epoch, iteration, losses in re.findall(r"epoch: (\d+), iter: (\d+)/\d+, (.*?), lr:", text):
        assert lines.setdefault(int(iteration), (epoch, losses)) == (epoch, losses), f"iter {iteration}"
    return lines


def curves(folder):
    """Return {tag: [(step, value), ...]} of the newest VisualDL log in a folder, costs aside."""
    from visualdl import LogReader

    newest = sorted(name for name in os.listdir(folder) if "vdlrecords" in name)[-1]
    reader = LogReader(file_path=os.path.join(folder, newest))
    tags = [tag for tag in reader.get_tags()["scalar"] if not tag.endswith(("_cost", "/ips", "_memory_MB"))]
    return {tag: [(point.id, point.value) for point in reader.get_data("scalar", tag)] for tag in tags}
