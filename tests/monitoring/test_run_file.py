"""What a training writes to run.yml."""

import os
import pathlib

import pytest
import tiny
import yaml

from paddleseg.errors import UserError


def read_run_file(folder):
    with open(os.path.join(folder, "run.yml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


def test_a_training_writes_its_config(finished):
    run = read_run_file(finished["save_dir"])
    assert (run["role"], run["seed"], run["teachers"], run["device"]) == ("train", 7, [], "cpu")
    assert run["config"]["model"] == {"type": "TinyNet", "num_classes": 2}
    assert run["config_path"] == finished["config"]


def test_a_distillation_names_its_teachers(tmp_path, root):
    weights = tiny.save_weights(tmp_path / "t.pdparams", tiny.TinyNet(width=6))
    model = {"type": "TinyNet", "num_classes": 2, "width": 6, "pretrained": weights}
    tiny.distill(
        tiny.write_yaml(tmp_path / "s.yml", tiny.config(root)),
        tiny.write_yaml(tmp_path / "t.yml", {"model": model, "imports": ["tiny"]}),
        distill_config=tiny.write_distill_file(tmp_path / "d.py", []),
        save_dir=str(tmp_path / "run"),
    )
    run = read_run_file(tmp_path / "run")
    assert run["role"] == "distill"
    assert [(t["weights"], t["config"]["model"]["width"]) for t in run["teachers"]] == [(weights, 6)]


def test_a_refused_training_leaves_the_files_of_the_old_one(finished):
    files = [pathlib.Path(finished["save_dir"], name) for name in ("run.yml", "history.jsonl")]
    before = [file.read_bytes() for file in files]
    end = {**finished, "resume_model": os.path.join(finished["save_dir"], "iter_4")}
    with pytest.raises(UserError, match="seed"):
        tiny.train(**{**end, "seed": 8})
    with pytest.raises(UserError, match="already"):
        tiny.train(**end)
    assert [file.read_bytes() for file in files] == before


def test_a_run_file_that_cannot_be_written_is_refused(finished):
    path = pathlib.Path(finished["save_dir"], "run.yml")
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"run\.yml cannot be written: Is a directory"):
        tiny.train(**finished)
