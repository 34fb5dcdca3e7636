"""Exports a tiny model, and runs what was exported where the training code is not to be had."""

import importlib.util
import subprocess
import sys

import numpy as np
import paddle
import pytest

from paddleseg.cvlibs import manager

PADDLE_3 = int(paddle.__version__.split(".")[0]) >= 3
_CONVERTS = PADDLE_3 and all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "paddle2onnx")))
converts = pytest.mark.skipif(not _CONVERTS, reason="ONNX needs Paddle 3, onnx, onnxruntime and paddle2onnx")
FORMATS = ["paddle", pytest.param("onnx", marks=converts)]
MODEL = {
    "type": "DeepLabV3P",
    "num_classes": 2,
    "backbone": {"type": "ResNet18_vd", "output_stride": 16},
    "aspp_out_channels": 8,
}


@manager.DATASETS.add_component
class OwnScans:
    """A data set of the user's own that is no `Dataset`, whose files OpenCV does not read."""

    def __init__(self, length: int, num_classes: int = 2, mode: str = "val"):
        self.num_classes = num_classes
        self.file_list = [["/nowhere/scan.npy"]] * length

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        return {"img": np.full((3, 32, 32), index, "float32"), "label": np.zeros((32, 32), "int64")}


def flags(trained, save_dir, **given):
    """Return what `tiny.export` takes for a config and its weights, (config, weights, ...)."""
    config, weights, *_ = trained
    return {"config": config, "model_path": weights, "save_dir": str(save_dir), **given}


def infer(repository, folder, images, out):
    """Run deploy/infer.py where the package cannot be imported; return its stdout."""
    command = [sys.executable, "-S", "-c", _WITHOUT_PACKAGE, str(repository / "deploy/infer.py")]
    command += ["--config", str(folder / "deploy.yaml"), "--image_path", images, "--save_dir", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


_WITHOUT_PACKAGE = """
import os, runpy, site, sys
site.main()
sys.modules["paddleseg"] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as Python does for a script
runpy.run_path(sys.argv[0], run_name="__main__")
"""
