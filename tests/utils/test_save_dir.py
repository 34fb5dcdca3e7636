"""Folders for results, made before anything is computed."""

import os

import pytest

from paddleseg.utils.save_dir import new_save_dir


def test_an_error_leaves_no_empty_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), new_save_dir(str(tmp_path / "a" / "b")):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_and_one_with_content_stay(tmp_path):
    def fail_after_writing():
        with new_save_dir(str(tmp_path / "a" / "b")):
            (tmp_path / "a" / "note.txt").write_text("of the user's")
            raise ZeroDivisionError

    pytest.raises(ZeroDivisionError, fail_after_writing)
    assert os.listdir(tmp_path / "a") == ["note.txt"]
    (tmp_path / "c").mkdir()
    with pytest.raises(ZeroDivisionError), new_save_dir(str(tmp_path / "c")):
        raise ZeroDivisionError
    assert os.listdir(tmp_path / "c") == []
