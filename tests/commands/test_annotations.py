"""tools/data: what the commands print, and how they end."""

import sys

import pytest
import yaml
from annotation_files import box, write_labelme

from paddleseg.commands import annotations, process


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run one of the commands in `tmp_path`; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "prepare", lambda: None)

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run


def test_a_conversion_prints_the_check_and_the_section_to_paste(run, tmp_path):
    write_labelme(tmp_path / "in/a.json", [box("disc", 0, 0, 15, 20)])
    out = run(annotations.from_labelme, "--annotation_path", "in", "--save_dir", "out")
    said, _, pasted = out.partition("or give the config the line `_base_: out/dataset.yml`:\n")
    assert [" ".join(line.split()) for line in said.splitlines()][:6] == [
        "out: 1 image, 2 classes",
        "train_dataset pixels masks",
        "class 0 _background_ 50.0000% 1",
        "class 1 disc 50.0000% 1",
        "ignored 0.0000% 0",
        "0 findings",
    ]
    section = yaml.safe_load(pasted)["train_dataset"]
    assert section["train_path"] == "out/all.txt"
    assert (section["num_classes"], section["class_names"]) == (2, ["_background_", "disc"])
    assert (tmp_path / "out/dataset.yml").read_text("utf-8").strip() == pasted.strip()


@pytest.mark.parametrize("script", ["from_labelme", "from_coco"])
@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"images": [', '{"shapes": [{"label": 1}], "images": 5}']
)
def test_a_hostile_file_ends_in_one_line_and_status_2(command, tmp_path, script, content):
    (tmp_path / "a.json").write_text(content)
    path, out = tmp_path / "a.json", tmp_path / "out"
    status, error = command(f"tools/data/{script}.py", "--annotation_path", path, "--save_dir", out)
    assert status == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_division_prints_the_check_of_both_parts(run, tmp_path):
    for number in range(5):
        write_labelme(tmp_path / f"in/{number}.json", [box("disc", 0, 0, 15, 20)], seed=number)
    run(annotations.from_labelme, "--annotation_path", "in", "--save_dir", "out")
    out = run(annotations.split, "--dataset_root", "out", "--split", "0.8", "0.2", "--seed", "1")
    assert out.startswith("out/train.txt: 4 images\nout/val.txt: 1 image\ntrain_dataset ")
    assert "0 findings" in out
    assert "val_path: out/val.txt" in out
