"""Folders for results, made before anything is computed."""

import errno
import os

import pytest

from paddleseg.errors import UserError
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


def test_a_disk_that_is_full_is_named(tmp_path):
    message = "save_dir .*made: .*No space left on device: 'model.onnx'"
    with pytest.raises(UserError, match=message), new_save_dir(str(tmp_path / "made")):
        raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")
    assert not (tmp_path / "made").exists()
