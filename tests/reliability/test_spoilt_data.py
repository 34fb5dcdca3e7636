"""Spoilt data sets: each trains an iteration, or is refused with exit status 2 and one message."""

import collections
import shutil

import pytest
import tiny
from attempts import empty_folder, outcome, trials
from hypothesis import given
from hypothesis import strategies as st
from spoilt_data import spoilings

FLAGS = st.sampled_from([(), ("--max_bad_samples", "2"), ("--no_eval",)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data set that nothing is wrong with: few samples, each of which is needed."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data") / "whole", train=5, val=3)


def write_config(folder):
    """Write a config that trains on the data set in `folder / "data"`; return its path."""
    root = str(folder / "data")
    lists = {f"{mode}_path": f"{root}/{mode}_list.txt" for mode in ("train", "val")}
    data = {"type": "Dataset", "dataset_root": root, "num_classes": 2, **lists}
    data["transforms"] = [{"type": "Resize", "target_size": [32, 32]}]
    return tiny.write_yaml(
        folder / "c.yml", tiny.config(root, iters=1, train_dataset=data, val_dataset=data, distill=False)
    )


@pytest.mark.parametrize(
    ("count", "workers"),
    [(15, 0), pytest.param(100, 0, marks=pytest.mark.long), pytest.param(20, 2, marks=pytest.mark.long)],
)
def test_spoilt_data(whole, tmp_path, repository, count, workers):
    config, counts = write_config(tmp_path), collections.Counter()

    @trials(count)
    @given(spoilings(), FLAGS)
    def try_one(changes, flags):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        shutil.copytree(whole, tmp_path / "data")
        for change in changes:
            change(str(tmp_path / "data"))
        out = empty_folder(tmp_path / "out")
        flags = ("--save_dir", out, "--device", "cpu", "--num_workers", workers, *flags)
        status, _ = outcome(str(repository / "train.py"), "--config", config, *flags)
        counts[status] += 1
        # The tool finds fault with, or cannot run on, whatever a training refuses.
        found, _ = outcome(str(repository / "tools" / "check_dataset.py"), "--config", config)
        counts["found", status, found] += 1
        assert found in (0, 1)
        assert found == 1 or status == 0

    try_one()
    print(dict(counts))
    assert counts[0] > 0
    assert counts[2] > 0
