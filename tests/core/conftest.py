import os
import sys

import paddle
import pytest
import tiny
from exporting import MODEL
from predicting import Columns

from paddleseg.core import loading
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.utils.logger import logger


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch):
    """Flushing to a busy disk takes longer than training; that it is done, and when, has its own test."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set of ten images to train on."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"), train=10)


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    logged = []
    monkeypatch.setattr(logger, "info", logged.append)
    monkeypatch.setattr(logger, "warning", logged.append)
    return logged


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout and stderr one `Terminal`; within the test, since pytest sets them itself before."""
    screens = pytest.importorskip("screens", reason="pseudo-terminals are POSIX's")
    made = []

    def make(columns=100, screen=screens.Cutting):
        made.append(screens.Terminal(columns, screen))
        monkeypatch.setattr(sys, "stdout", made[-1])
        monkeypatch.setattr(sys, "stderr", made[-1])
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


@pytest.fixture
def read(monkeypatch):
    """The keys of the samples that are read to train on, in order."""
    keys = []
    original = loading.load_batches

    def counting(samples, batches, *args):
        class Counted:
            def __len__(self):
                return len(samples)

            def __getitem__(self, key):
                keys.append(key)
                return samples[key]

        return original(Counted(), batches, *args)

    monkeypatch.setattr("paddleseg.core.fit.load_batches", counting)
    return keys


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """Make a config of `Columns` and its weights: columns(name, num_classes, **val_dataset)."""
    folder = tmp_path_factory.mktemp("columns")

    def make(name, num_classes=2, channels=3, **val_dataset):
        model = {"type": "Columns", "num_classes": num_classes, "channels": channels}
        dataset = {
            "type": "Dataset",
            "dataset_root": "nowhere",
            "num_classes": num_classes,
            "val_path": "nowhere",
            "transforms": [{"type": "Normalize", "mean": [0.5] * channels, "std": [0.5] * channels}],
            **val_dataset,
        }
        path = tiny.write_yaml(folder / f"{name}.yml", {"model": model, "val_dataset": dataset})
        return path, tiny.save_weights(folder / f"{name}.pdparams", Columns(num_classes, channels))

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config, its weights and its data set; the classifier's bias is such that both classes occur."""
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.write_optic_disc(folder / "data")
    config = tiny.write_yaml(folder / "c.yml", tiny.config(root, MODEL))
    paddle.seed(3)
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    model = builder.model
    model.eval()
    tiny.balance(model, model.head.decoder.conv.bias, builder.val_dataset[0]["img"])
    return config, tiny.save_weights(folder / "model.pdparams", model), root
