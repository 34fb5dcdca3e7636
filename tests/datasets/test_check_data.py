import collections
import os
import re
import shutil

import cv2
import numpy as np
import pytest
import tiny

from paddleseg.cvlibs import Config
from paddleseg.datasets.check_data import check_config, notes, table
from paddleseg.errors import UserError


@pytest.fixture
def root(tmp_path):
    return tiny.write_optic_disc(tmp_path / "data")


@pytest.fixture
def check(tmp_path, root):
    """Check the data sets of a config, of which `changes` replaces sections."""

    def check(**changes):
        dic = {**tiny.config(root, distill=False), **changes}
        path = tiny.write_yaml(tmp_path / "c.yml", {k: v for k, v in dic.items() if v is not None})
        return check_config(Config(path, sections=("train_dataset", "val_dataset")))

    return check


def masks(root, split):
    paths = [os.path.join(root, "Annotations", name) for name in sorted(os.listdir(f"{root}/Annotations"))]
    return [cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in paths if f"{split}_" in path]


def test_a_clean_set_has_no_findings_and_the_shares_of_its_classes(check, root):
    cv2.imwrite(f"{root}/Annotations/train_0.png", np.full((tiny.SIZE, tiny.SIZE), 255, "uint8"))
    report = check()
    assert report.findings == []
    for split in ("train", "val"):
        counted = collections.Counter(np.concatenate([mask.ravel() for mask in masks(root, split)]).tolist())
        section = f"{split}_dataset"
        assert report.counts[section].pixels.tolist() == [counted[0], counted[1], counted[255]]
        shown = [sum((mask == value).any() for mask in masks(root, split)) for value in (0, 1, 255)]
        assert report.counts[section].masks.tolist() == shown


def plain(root, split, **keys):
    """Return a section of a plain `Dataset` of the tiny files."""
    files = {f"{split}_path": f"{root}/{split}_list.txt", "dataset_root": root}
    return {"type": "Dataset", "mode": split, "transforms": [], **files, **keys}


def test_classes_are_called_by_their_names(check, root):
    longest = "the disc of the optic nerve"
    report = check(val_dataset=plain(root, "val", num_classes=2, class_names=["ground", longest]))
    lines = table(report)
    assert [line.split("  ")[1] for line in lines if "class" in line] == [
        "class 0 background",
        "class 1 optic disc",
        "class 0 ground",
        f"class 1 {longest}",
    ]
    of_val = lines[lines.index(next(line for line in lines if line.startswith("val_dataset"))) :]
    assert len({len(line) for line in of_val}) == 1
    assert notes(report) == []
    nameless = check(val_dataset=plain(root, "val", num_classes=2))
    assert [line[:9] for line in table(nameless)[-3:]] == ["  class 0", "  class 1", "  ignored"]


def test_a_class_that_no_mask_holds_is_a_note_and_no_finding(check, root):
    three = {"num_classes": 3, "class_names": ["ground", "disc", "cup"]}
    report = check(train_dataset=plain(root, "train", **three), val_dataset=None)
    assert report.findings == []
    assert notes(report) == ["train_dataset: no mask holds class 2 cup"]
    ignored = check(train_dataset=plain(root, "train", **three, ignore_index=2), val_dataset=None)
    assert notes(ignored) == []
    many = check(train_dataset=None, val_dataset=plain(root, "val", num_classes=15))
    assert notes(many) == ["val_dataset: no mask holds classes 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more"]


def cut(path, size):
    with open(path, "r+b") as file:
        file.truncate(size)


DAMAGE = {
    "missing image": (
        lambda r: os.remove(f"{r}/JPEGImages/train_1.jpg"),
        "train_1.jpg': there is no such file",
    ),
    "missing mask": (lambda r: os.remove(f"{r}/Annotations/val_1.png"), "val_1.png': there is no such file"),
    "cut image": (lambda r: cut(f"{r}/JPEGImages/train_2.jpg", 500), "train_2.jpg': it is cut off"),
    "cut mask": (lambda r: cut(f"{r}/Annotations/train_2.png", 60), "cannot read mask '.*train_2.png'"),
    "empty image": (lambda r: cut(f"{r}/JPEGImages/val_2.jpg", 0), "val_2.jpg': it is empty"),
    "other size": (
        lambda r: cv2.imwrite(f"{r}/JPEGImages/val_0.jpg", np.zeros((8, 9, 3), "uint8")),
        "val_0.jpg' is 9 x 8, its mask '.*val_0.png' 32 x 32",
    ),
    "values": (
        lambda r: cv2.imwrite(f"{r}/Annotations/train_3.png", np.full((32, 32), 7, "uint8")),
        r"train_3.png' holds 7, but masks hold 0\.\.1, or 255",
    ),
    "colours": (
        lambda r: cv2.imwrite(f"{r}/Annotations/train_3.png", np.zeros((32, 32, 3), "uint8")),
        "train_3.png' .*one class index per pixel",
    ),
    "both sets": (
        lambda r: shutil.copy(f"{r}/JPEGImages/train_4.jpg", f"{r}/JPEGImages/val_4.jpg"),
        "val_4.jpg' of val_dataset is the same image as '.*train_4.jpg' of train_dataset",
    ),
    "no list": (lambda r: os.remove(f"{r}/val_list.txt"), "val_dataset: cannot read the list"),
    "empty list": (lambda r: cut(f"{r}/train_list.txt", 0), "train_dataset: the list .* names no files"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_each_kind_of_damage_is_one_finding(check, root, kind):
    damage, message = DAMAGE[kind]
    damage(root)
    (finding,) = check().findings
    assert re.search(message, finding), finding


def test_all_damage_is_found_at_once(check, root):
    for kind in ("missing image", "cut image", "other size", "values", "both sets"):
        DAMAGE[kind][0](root)
    report = check()
    assert len(report.findings) == 5
    assert [line.split(":")[0] for line in report.findings[:4]] == ["train_dataset"] * 3 + ["val_dataset"]


def test_one_section_can_be_checked_and_none_is_refused(check):
    assert list(check(val_dataset=None).counts) == ["train_dataset"]
    with pytest.raises(UserError, match="neither train_dataset nor val_dataset"):
        check(train_dataset=None, val_dataset=None)
    with pytest.raises(UserError, match="Digits must have `num_classes` and a `file_list`"):
        check(train_dataset={"type": "Digits"}, imports=["tiny", "tutorial_model"], val_dataset=None)


def test_the_tool_prints_a_note_and_exits_with_0(root, repository, tmp_path, run_python):
    config = {"train_dataset": plain(root, "train", num_classes=3)}
    path = tiny.write_yaml(tmp_path / "c.yml", config)
    done = run_python(repository / "tools/check_dataset.py", "--config", path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["note: train_dataset: no mask holds class 2", "0 findings"]


def test_the_tool_exits_with_1_for_findings_and_2_for_errors(check, root, command, tmp_path):
    check()
    arguments = "tools/check_dataset.py", "--config", tmp_path / "c.yml"
    assert command(*arguments) == (0, "")
    DAMAGE["values"][0](root)
    assert command(*arguments)[0] == 1
    status, error = command(*arguments, "--opts", "train_dataset.typ=3")
    assert (status, "unknown key 'typ'" in error) == (2, True)
