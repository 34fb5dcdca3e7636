import os
from types import SimpleNamespace

import pytest

from paddleseg.datasets.file_lists import check_file_lists, missing_files, pairs_of, shared_images
from paddleseg.errors import UserError


class Listed(SimpleNamespace):
    """A data set with a `file_list`."""

    def __len__(self):
        return len(self.file_list)


@pytest.fixture
def listed(tmp_path):
    """A function from names to a data set of them, of which a.jpg to c.jpg and a.png are there."""
    for name in ("a.jpg", "b.jpg", "c.jpg", "a.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    os.symlink("a.jpg", tmp_path / "link.jpg")
    os.symlink("nowhere", tmp_path / "dangling.jpg")

    def listed(*names):
        pairs = [name.split() for name in names]
        paths = [[str(tmp_path / part) for part in pair] for pair in pairs]
        return Listed(file_list=[pair if len(pair) == 2 else [*pair, None] for pair in paths])

    return listed


def test_missing_files_are_found(listed, tmp_path):
    data = listed(
        "a.jpg a.png", "link.jpg", "b.jpg b.png", "gone/c.jpg", "folder.jpg", "dangling.jpg", "a\0b"
    )
    names = ["b.png", "gone/c.jpg", "folder.jpg", "dangling.jpg", "a\0b"]
    assert missing_files(data.file_list) == [str(tmp_path / name) for name in names]


def test_names_without_a_folder_are_relative_to_the_working_directory(listed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed()
    assert missing_files([["a.jpg", "./a.png"], ["b.jpg", "b.png"]]) == ["b.png"]


def test_missing_files_end_a_run_unless_they_are_accepted(listed):
    data = listed(*(f"{i}.jpg" for i in range(5)), "a.jpg a.png")
    with pytest.raises(UserError, match=r"^train_dataset: 5 of 6 .*0\.jpg.*2\.jpg' and 2 more; tools/check"):
        check_file_lists(data, None, max_bad_samples=4)
    check_file_lists(data, None, max_bad_samples=5)
    with pytest.raises(UserError, match=r"^val_dataset: 5 of 6"):
        check_file_lists(None, data, max_bad_samples=5)


def test_images_in_both_sets_are_logged(listed, capsys, tmp_path):
    train, val = listed("a.jpg a.png", "b.jpg"), listed("c.jpg", "./x/../b.jpg")
    assert shared_images(train.file_list, val.file_list) == [str(tmp_path / "./x/../b.jpg")]
    (tmp_path / "x").mkdir()
    check_file_lists(train, val)
    assert "1 images of val_dataset are in train_dataset as well" in capsys.readouterr().out
    check_file_lists(train, listed("c.jpg"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("file_list", [None, [], [1], ["ab"], [["a.jpg", 3]], {"a": 1}, [["a", "b", "c"]]])
def test_a_data_set_without_a_list_of_pairs_is_not_checked(file_list):
    data = Listed(file_list=file_list)
    assert pairs_of(data) == pairs_of(object()) == []
    check_file_lists(data, data)
