"""Files that are complete whenever somebody reads them."""

import concurrent.futures

import pytest

from paddleseg.utils.replace_file import replace_file


def test_threads_may_write_the_same_file(tmp_path):
    path = tmp_path / "file.txt"
    texts = [letter * 10_000 for letter in "abcd"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: replace_file(str(path), text), texts * 20))
    assert path.read_text(encoding="utf-8") in texts
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_that_cannot_be_written_keeps_the_old_text(tmp_path):
    path = tmp_path / "file.txt"
    replace_file(str(path), "old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(str(path), "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
