"""The data sets of docs/datasets.md, run as they stand there."""

import re
import sys

import numpy as np
import pytest
from dataset_trees import HEIGHT, WIDTH, write_image, write_list, write_mask

from paddleseg.cvlibs import Config, SegBuilder


@pytest.fixture
def blocks(repository):
    """The Python blocks and the YAML blocks of the document."""
    text = (repository / "docs" / "datasets.md").read_text(encoding="utf-8")
    return {kind: re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with data/leaves: three pairs of 8 x 6 pixels, listed and by folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    root = tmp_path / "data" / "leaves"
    for i in range(3):
        for image, mask in ((f"photos/{i}.jpg", f"masks/{i}.png"), (f"train/{i}.jpg", f"train/{i}.png")):
            write_image(root / image, i)
            write_mask(root / mask, [i])
    write_list(root / "train.txt", [f"photos/{i}.jpg masks/{i}.png" for i in range(3)])
    return tmp_path


def build(folder, text):
    (folder / "config.yml").write_text(text)
    return SegBuilder(Config(str(folder / "config.yml"))).train_dataset


def test_a_config_needs_no_code(folder, blocks):
    data = build(folder, blocks["yaml"][0])
    assert (len(data), data.num_classes, data.mode) == (3, 3, "train")
    for i, sample in enumerate(data):
        assert sample["img"].shape == (3, 64, 64)
        assert set(np.unique(sample["label"])) == {i, 255}


def test_a_data_set_takes_a_class_of_ten_lines(folder, blocks):
    (code,) = blocks["python"]
    assert len([line for line in code.splitlines() if line.strip()]) == 10
    (folder / "leaves.py").write_text(code)
    try:
        data = build(folder, blocks["yaml"][1])
    finally:
        sys.modules.pop("leaves", None)
    assert (len(data), data.num_classes, data.mode) == (3, 3, "train")
    for i, sample in enumerate(data):
        assert sample["img"].shape == (3, 32, round(WIDTH * 32 / HEIGHT))
        assert (sample["label"] == i).all()
        assert sample["trans_info"] == [("resize", (HEIGHT, WIDTH))]
