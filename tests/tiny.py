"""A data set, models and configs that are small enough to train within a test."""

import os
import re

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import yaml

from paddleseg.commands.distill import teacher_configs
from paddleseg.commands.train import NEEDED_TO_TRAIN
from paddleseg.core import runs
from paddleseg.cvlibs import Config, manager
from paddleseg.evaluation.photographs import prediction_config
from paddleseg.models.backbones.hrnet import HRNet
from paddleseg.models.base import SegmentationModel
from paddleseg.options import DistillOptions, EvaluateOptions, PredictOptions, TrainOptions

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


class TokenBlock(nn.Layer):
    """A norm and a linear layer on tokens N x L x dim, added to them; may leave their `grid`."""

    def __init__(self, dim, says_grid):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(dim), nn.Linear(dim, dim)
        self.says_grid = says_grid

    def forward(self, x, grid):
        if self.says_grid:
            self.grid = grid
        return x + self.linear(self.norm(x))


@manager.MODELS.add_component
class TinyTransformer(nn.Layer):
    """Patches of 4 x 4 as tokens, behind a class token if there is one, and a block of one linear layer."""

    def __init__(self, num_classes: int = 2, dim: int = 6, says_grid: bool = True, class_token: bool = False):
        super().__init__()
        self.embed = nn.Conv2D(3, dim, 4, stride=4)
        self.skip = int(class_token)
        self.block = TokenBlock(dim, says_grid)
        self.classify = nn.Conv2D(dim, num_classes, 1)

    def forward(self, x):
        patches = self.embed(x)
        grid = (patches.shape[2], patches.shape[3])
        tokens = patches.flatten(2).transpose([0, 2, 1])
        if self.skip:
            tokens = paddle.concat([tokens.mean(1, keepdim=True), tokens], axis=1)
        tokens = self.block(tokens, grid)
        feature_map = tokens[:, self.skip :].transpose([0, 2, 1]).reshape([0, 0, *grid])
        return [nn.functional.interpolate(self.classify(feature_map), x.shape[2:], mode="bilinear")]


class SmallHRNet(HRNet):
    """An HRNet of two branches with one block each."""

    width, first, num_modules, num_blocks = 16, (1, 16), (1,), 1


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


OPTIONS = {"device": "cpu", "log_style": "plain"}
TRAINING = {**OPTIONS, "vdl_images": 2, "save_interval": 2, "log_iters": 1}
CHANGES = ("opts", "iters", "batch_size", "learning_rate")


def training_config(path, given):
    """Return the config of a training, and take what changes it out of `given`."""
    changes = {name: given.pop(name) for name in CHANGES if name in given}
    required = (*NEEDED_TO_TRAIN, "val_dataset") if given.get("do_eval") else NEEDED_TO_TRAIN
    return Config(path, required=required, **changes)


def train(config, **given):
    """Train a config, a path; `given` are options and changes of the config."""
    cfg = training_config(config, given)
    return runs.train(cfg, TrainOptions(**{**TRAINING, **given}))


def distill(student_config, teacher_config, teacher_opts=None, **given):
    """Distil configs, paths, into a student's; `given` are options and changes of the student's config."""
    cfg = training_config(student_config, given)
    paths = [teacher_config] if isinstance(teacher_config, str) else teacher_config
    options = DistillOptions(**{**TRAINING, "teacher_engine": "paddle", **given})
    return runs.distill(cfg, teacher_configs(paths, teacher_opts), options)


def evaluate(config, model_path=None, opts=None, num_workers=0, **test_config):
    """Evaluate a config, a path; `test_config` is what flags change of it."""
    sections = ("model", "val_dataset", "test_config")
    cfg = Config(config, opts=opts, sections=sections, required=sections[:2], test_config=test_config)
    return runs.evaluate(cfg, EvaluateOptions(**OPTIONS, model_path=model_path, num_workers=num_workers))


def predict(
    config,
    opts=None,
    image_path=(),
    model_path=None,
    save_dir=".",
    save_probabilities=False,
    custom_color=None,
    **test_config,
):
    """Predict with configs, paths; `test_config` is what flags change of it."""
    options = PredictOptions(
        image_path=image_path,
        model_path=model_path,
        save_dir=save_dir,
        save_probabilities=save_probabilities,
        custom_color=custom_color,
        device="cpu",
    )
    runs.predict([prediction_config(path, opts, test_config) for path in config], options)


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
