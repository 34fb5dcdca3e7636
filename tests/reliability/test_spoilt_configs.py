"""Spoilt configs: each trains an iteration, or is refused with exit status 2 and one message."""

import collections

import pytest
import tiny
from attempts import empty_folder, outcome, trials
from hypothesis import given
from spoilt_configs import spoilt_configs

TRANSFORMS = [
    {"type": "ResizeStepScaling", "min_scale_factor": 0.5, "max_scale_factor": 2.0, "scale_step_size": 0.25},
    {"type": "RandomPaddingCrop", "crop_size": [32, 32]},
    {"type": "RandomHorizontalFlip", "prob": 0.5},
    {"type": "RandomDistort", "brightness_range": 0.4, "contrast_range": 0.4, "saturation_range": 0.4},
    {"type": "Normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
]


def base(root, model=None):
    """Return a config that trains, with something of everything."""
    dic = tiny.config(root, model or {"type": "TinyNet", "num_classes": 2, "width": 4})
    lists = {f"{mode}_path": f"{root}/{mode}_list.txt" for mode in ("train", "val")}
    data = {"type": "Dataset", "dataset_root": root, "num_classes": 2, **lists}
    return {
        **dic,
        "iters": 1,
        "ignore_index": 255,
        "train_dataset": {**data, "transforms": TRANSFORMS},
        "val_dataset": {**data, "transforms": [{"type": "Resize", "target_size": [32, 32]}, TRANSFORMS[-1]]},
        "loss": {"types": [{"type": "CrossEntropyLoss", "ignore_index": 255}], "coef": [1]},
    }


DEEPLAB = {
    "type": "DeepLabV3P",
    "num_classes": 2,
    "backbone": {"type": "ResNet18_vd", "output_stride": 16},
    "aspp_ratios": [1, 2],
    "aspp_out_channels": 8,
    "align_corners": False,
    "pretrained": None,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


def try_all(count, config, folder, repository):
    """Try `count` spoilt forms of a config; return how many ran and how many were refused."""
    counts = collections.Counter()

    @trials(count)
    @given(spoilt_configs(config))
    def try_one(content):
        path = folder / "c.yml"
        path.write_bytes(content)
        out = empty_folder(folder / "out")
        status, _ = outcome(
            str(repository / "train.py"), "--config", path, "--save_dir", out, "--device", "cpu"
        )
        counts[status] += 1

    try_one()
    return counts


@pytest.mark.parametrize("count", [15, pytest.param(250, marks=pytest.mark.long)])
def test_spoilt_configs(root, tmp_path, repository, count, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = try_all(count, base(root), tmp_path, repository)
    print(f"{counts[0]} ran, {counts[2]} were refused")
    assert counts[0] > 0
    assert counts[2] > count / 2


@pytest.mark.long
def test_spoilt_configs_of_a_published_model(root, tmp_path, repository, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = try_all(50, {**base(root), "model": DEEPLAB, "batch_size": 2}, tmp_path, repository)
    print(f"{counts[0]} ran, {counts[2]} were refused")
    assert counts[2] > 25
