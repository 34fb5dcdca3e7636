"""Every config of the project is built, and takes one step, on images of 64 x 64."""

import pathlib
import re

import numpy as np
import pytest
from dataset_trees import write_tree

from paddleseg.cvlibs import Config, SegBuilder, facts
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.options.inference import EvalConfig
from paddleseg.training.step import SupervisedStep

FOLDER = pathlib.Path(__file__).parent.parent / "configs"
SIZES = {"crop_size", "target_size"}


def name_of(path):
    return str(path.relative_to(FOLDER))


CONFIGS = [path for path in sorted(FOLDER.rglob("*.yml")) if "model" in load_config(str(path))[0]]
PUBLISHED = [path for path in CONFIGS if re.search(r"_\d+k(_|\.yml)", path.name)]
each_config = pytest.mark.parametrize("path", CONFIGS, ids=name_of)
# A recipe of pretraining has no labels; tests/benchmarks/test_plans.py builds it.
WITH_LABELS = [path for path in CONFIGS if not facts.without_labels(load_config(str(path))[0])]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A function from a dataset's section to the overrides that point it to a tree of its own."""
    written = {}

    def tree(section):
        key = (section["type"], section.get("num_classes"), section["dataset_root"])
        if key not in written:
            written[key] = str(tmp_path_factory.mktemp("data"))
        return write_tree(written[key], section)

    return tree


def overrides(dic, trees):
    """Return the `--opts` that make a config small: its data, its sizes and its batch, nothing downloaded."""
    opts = ["batch_size=2"]
    for section in ("train_dataset", "val_dataset"):
        changes = {**trees(dic[section])}
        if "download" in dic[section]:
            changes["download"] = False
        if section == "train_dataset":
            for i, transform in enumerate(dic[section]["transforms"]):
                changes.update({f"transforms.{i}.{key}": [64, 64] for key in SIZES & set(transform)})
        opts += [f"{section}.{key}={value}" for key, value in changes.items()]
    if dic["model"]["backbone"].get("pretrained"):
        opts.append("model.backbone.pretrained=null")
    return opts


@pytest.mark.parametrize("path", WITH_LABELS, ids=name_of)
def test_a_config_takes_one_step(path, trees):
    dic, _ = load_config(str(path))
    builder = SegBuilder(Config(str(path), opts=overrides(dic, trees)))
    samples = SeededSamples(builder.train_dataset, seed=0)
    (batch,) = load_batches(samples, [[(0, 0), (0, 1)]], 0, stack)
    assert batch["img"].shape == [2, 3, 64, 64]
    losses = SupervisedStep(builder.model, builder.loss)(batch)
    assert np.isfinite(float(losses["loss"]))
    losses["loss"].backward()
    parameter = next(iter(builder.model.parameters()))
    before = parameter.numpy().copy()
    builder.optimizer.step()
    assert (parameter.numpy() != before).any()
    # An evaluation needs labels and its settings.
    assert SeededSamples(builder.val_dataset, seed=0)[(0, 0)]["label"].ndim == 2
    assert builder.eval_config == EvalConfig(**dic.get("test_config", {}))


@each_config
def test_a_config_begins_with_its_command(path):
    command = "python train.py --config"
    if path.parent.name == "recipes":
        command = "python slim/distill/distill_train.py --student_config"
    with open(path, encoding="utf-8") as file:
        assert file.readline().startswith(f"# {command} configs/{name_of(path)} ")


def test_there_are_twenty_of_paddlesegs_experiments():
    assert len({path for path in PUBLISHED if path.parent.name != "demo"}) >= 20


@pytest.mark.parametrize("path", PUBLISHED, ids=name_of)
def test_an_experiment_is_what_its_name_says(path):
    dic, _ = load_config(str(path))
    sides, iters = re.search(r"_(\d+x\d+)_(?:.*_)?(\d+)k(?:_|\.yml)", path.name).groups()
    sizes = {
        tuple(transform[key])
        for transform in dic["train_dataset"]["transforms"]
        for key in SIZES & set(transform)
    }
    sides = tuple(int(side) for side in sides.split("x"))
    # UPerNet's name has the height first; PaddleSeg crops Cityscapes 1024 wide throughout.
    assert sizes == {sides[::-1] if "512x1024" in path.name else sides}
    assert dic["iters"] == 1000 * int(iters)
    scale = re.search(r"scale([\d.]+)_", path.name)
    evaluation = {"aug_eval": True, "scales": float(scale[1])} if scale else None
    if "segformer" in path.name:
        evaluation = {"is_slide": True, "crop_size": list(sides), "stride": [768, 768]}
    assert dic.get("test_config") == evaluation
    backbone = re.search(r"_(resnet|stdc|b|hrnetw)(\d+)_", path.name)
    if backbone:
        expected = {
            "resnet": "ResNet{}_vd",
            "stdc": "STDC{}",
            "b": "MixVisionTransformer_B{}",
            "hrnetw": "HRNet_W{}",
        }
        assert dic["model"]["backbone"]["type"].startswith(expected[backbone[1]].format(backbone[2]))
