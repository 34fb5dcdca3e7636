"""`paddleseg-distill configs` lists and copies the shipped configs."""

from pathlib import Path

import pytest
from refusal import refusal

from paddleseg.commands import configs
from paddleseg.cvlibs import Config
from paddleseg.utils import shipped


def test_a_copy_is_whole_and_can_be_read(tmp_path):
    count = configs.copy_to(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert count == len(files) == len(shipped.configs()) + 1
    assert (tmp_path / "distill_config.py").read_text() == Path(shipped.distill_config()).read_text()
    name = "configs/deeplabv3p/deeplabv3p_resnet101_os8_cityscapes_769x769_80k.yml"
    assert Config(str(tmp_path / name)).dic["model"]["type"] == "DeepLabV3P"
    assert configs.copy_to(tmp_path) == 0


def test_own_changes_are_not_overwritten(tmp_path, capsys):
    changed = tmp_path / "configs/demo/student.yml"
    changed.parent.mkdir(parents=True)
    changed.write_text("mine")
    message = refusal(capsys, lambda: configs.copy_to(tmp_path))
    assert message == (
        f"{tmp_path} has other files of the same names, which would be overwritten, such as {changed}; "
        "name another folder"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [changed]


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert refusal(capsys, lambda: configs.copy_to(tmp_path / "file")).startswith("cannot copy to ")


@pytest.mark.parametrize("words", [("--copy", "x", "demo")])
def test_only_all_are_copied(monkeypatch, capsys, words):
    monkeypatch.setattr("sys.argv", ["configs", *words])
    assert "they build on each other" in refusal(capsys, configs.main)
