"""Export tiny models, and run them where the training code cannot be imported."""

import importlib.util
import os
import subprocess
import sys

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
import yaml

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.evaluation.photographs import predict
from paddleseg.exporting import exporter
from paddleseg.models.base import Backbone, SegmentationModel
from paddleseg.models.layers import ConvBNReLU
from paddleseg.options import ExportOptions

PADDLE_3 = int(paddle.__version__.split(".")[0]) >= 3
_CONVERTS = PADDLE_3 and all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "paddle2onnx")))
converts = pytest.mark.skipif(not _CONVERTS, reason="ONNX needs Paddle 3, onnx, onnxruntime and paddle2onnx")
FORMATS = ["paddle", pytest.param("onnx", marks=converts)]
MODEL = {"type": "SmallNet", "num_classes": 2, "backbone": {"type": "SmallBackbone"}}


@manager.BACKBONES.add_component
class SmallBackbone(Backbone):
    """One map of 8 channels at a quarter of the size."""

    feat_channels = (8,)

    def __init__(self, in_channels: int = 3):
        super().__init__()
        self.conv = ConvBNReLU(in_channels, 8, 3, stride=4, padding=1)

    def forward(self, x):
        return [self.conv(x)]


@manager.MODELS.add_component
class SmallNet(SegmentationModel):
    """`SegmentationModel` whose head is one convolution. A graph of it is made in a fraction of a second."""

    def __init__(self, num_classes: int, backbone: nn.Layer):
        super().__init__(backbone)
        self.head = nn.Conv2D(backbone.feat_channels[0], num_classes, 1)

    def decode(self, features):
        return [self.head(features[0])]


@manager.DATASETS.add_component
class OwnScans:
    """A user's data set that does not derive from `Dataset`, and whose files OpenCV cannot read."""

    def __init__(self, length: int, num_classes: int = 2, mode: str = "val"):
        self.num_classes = num_classes
        self.file_list = [["/nowhere/scan.npy"]] * length

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        return {"img": np.full((3, 32, 32), index, "float32"), "label": np.zeros((32, 32), "int64")}


def export(trained, save_dir, opts=None, **options):
    """Export a model to a folder; `trained` is its config and its weights, both paths, and perhaps more."""
    config, weights = trained[:2]
    sections = ("model", "val_dataset", "export")
    config = Config(config, opts=opts, sections=sections, required=("model",))
    exporter.export(config, ExportOptions(**{"model_path": weights, "save_dir": str(save_dir), **options}))


def model_of(folder, model):
    """Write a config of an untrained model and its weights, and return both paths."""
    config = tiny.write_yaml(folder / "model.yml", {"model": model})
    network = SegBuilder(Config(config, sections=("model",))).model
    return config, tiny.save_weights(folder / "model.pdparams", network)


def with_transforms(folder, trained, *transforms):
    """Return `trained` with a config that deploys these transforms."""
    dic = {"_base_": trained[0], "export": {"transforms": list(transforms)}}
    return (tiny.write_yaml(folder / "transforms.yml", dic), *trained[1:])


def deploy_section(folder):
    """Return the `Deploy` section of the deploy.yaml in a folder."""
    return yaml.safe_load((folder / "deploy.yaml").read_text(encoding="utf-8"))["Deploy"]


def infer_alone(repository, folder, images, out):
    """Run deploy/infer.py where the package cannot be imported; return its stdout."""
    command = [sys.executable, "-S", "-c", _WITHOUT_PACKAGE, str(repository / "deploy/infer.py")]
    command += ["--config", str(folder / "deploy.yaml"), "--image_path", images, "--save_dir", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def assert_masks_of_the_training_code(folder, builder, model):
    """Assert that a folder holds the masks that a model gives for its validation images, of both classes."""
    classes = set()
    for i, (image, _) in enumerate(builder.val_dataset.file_list):
        ours = predict(model, builder.val_dataset.sample(i)["img"], (tiny.SIZE, tiny.SIZE))
        name = os.path.splitext(os.path.basename(image))[0]
        theirs = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(theirs, ours)
        classes |= set(np.unique(ours))
    assert classes == {0, 1}


_WITHOUT_PACKAGE = """
import os, runpy, site, sys
site.main()
sys.modules["paddleseg"] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as Python does for a script
runpy.run_path(sys.argv[0], run_name="__main__")
"""
