"""Rows in files: what is read is what was written, or nothing."""

import errno
import json
import os

import numpy as np
import pytest

from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.errors import UserError

ABOUT = {"teacher": "one", "views": 2}
LAYOUT = {"logits_0": ((2, 3), "float16"), "tap_0": ((4,), "float16")}


@pytest.fixture
def opened(tmp_path):
    """A function that opens the folder as a process does."""
    return lambda about=ABOUT, rows=5: CacheFiles(str(tmp_path / "cache"), about, rows, LAYOUT)


def values(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, (shape, dtype) in LAYOUT.items()}


def read(files, row, of=7):
    """Return what is read of a row, None if it is not there."""
    into = {name: array[0] for name, array in files.empty(1).items()}
    return into if files.read(row, of, into) else None


def assert_holds(files, row, expected, of=7):
    got = read(files, row, of)
    assert got is not None
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


def test_what_one_process_writes_any_other_reads(opened):
    one, other = opened(), opened()
    assert read(other, 3) is None
    one.write(3, 7, values(0))
    other.write(0, 9, values(1))
    for files in (one, other, opened()):
        assert_holds(files, 3, values(0))
        assert_holds(files, 0, values(1), of=9)
        assert [read(files, row) is None for row in (1, 2, 4)] == [True] * 3
        assert files.filled() == 2


def test_a_row_of_another_image_is_not_read_and_may_be_replaced(opened):
    files = opened()
    files.write(2, 7, values(0))
    assert_holds(files, 2, values(0))
    assert read(files, 2, of=8) is None
    files.write(2, 8, values(1))
    assert read(files, 2) is None
    assert_holds(files, 2, values(1), of=8)
    assert files.filled() == 1


def test_sizes(opened, tmp_path):
    files = opened()
    assert files.row_bytes == 2 * (2 * 3 + 4)
    assert files.size == 5 * (files.row_bytes + 16)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "cache").iterdir()}
    assert sizes.pop("cache.json") > 0
    assert sizes == {"logits_0.bin": 5 * 12, "tap_0.bin": 5 * 8, "index.bin": 5 * 16}


@pytest.mark.parametrize("stop", ["logits_0", "tap_0", "index.bin"])
def test_a_process_killed_while_it_writes_leaves_no_row(opened, stop):
    files = opened()
    files.write(1, 7, values(0))
    write = files._write

    def killed(name, offset, data):
        if name == stop and any(data):
            raise KeyboardInterrupt
        write(name, offset, data)

    files._write = killed
    for row in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            files.write(row, 8, values(1))
        for of in (7, 8):
            assert read(opened(), row, of) is None
    files = opened()
    files.write(1, 8, values(1))
    assert_holds(files, 1, values(1), of=8)


@pytest.mark.parametrize(("name", "place"), [("tap_0.bin", 8), ("logits_0.bin", 13), ("index.bin", 24)])
def test_flipped_bits_are_noticed(opened, tmp_path, name, place):
    files = opened()
    for row in range(3):
        files.write(row, 7, values(row))
    with open(tmp_path / "cache" / name, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 16]))
    files = opened()
    assert read(files, 1) is None
    assert_holds(files, 2, values(2))
    files.write(1, 7, values(1))
    assert_holds(files, 1, values(1))


def test_a_row_that_changes_while_it_is_read_is_not_used(opened):
    one, other = opened(), opened()
    one.write(0, 7, values(0))
    assert_holds(one, 0, values(0))
    record = one._record

    def interfered(row):
        found = record(row)
        other.write(0, 7, values(1))
        return found

    one._record = interfered
    assert read(one, 0) is None
    one._record = record
    assert_holds(one, 0, values(1))


def test_a_record_of_another_row_does_not_count(opened, tmp_path):
    opened().write(0, 7, values(0))
    for name, size in (("index.bin", 16), ("logits_0.bin", 12), ("tap_0.bin", 8)):
        with open(tmp_path / "cache" / name, "r+b") as file:
            copied = file.read(size)
            file.write(copied)
    assert read(opened(), 1) is None


def test_a_full_disk_is_told_and_leaves_no_row(opened):
    class Full:
        def __init__(self, file, room):
            self.file, self.room = file, room

        def seek(self, place):
            self.file.seek(place)

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

    files = opened()
    files.write(0, 7, values(0))
    files._files["tap_0"] = Full(files._files["tap_0"], 5)
    with pytest.raises(
        UserError, match=r"no space is left for .*cache: it takes 180 bytes when full \(5 rows "
    ):
        files.write(1, 7, values(1))
    files = opened()
    assert read(files, 1) is None
    assert_holds(files, 0, values(0))


def test_other_errors_of_the_disk_are_told(opened, tmp_path):
    files = opened()

    class Broken:
        def seek(self, place):
            raise OSError(errno.EIO, "Input/output error")

    files._files["index.bin"] = Broken()
    with pytest.raises(UserError, match="--teacher_cache: .*cache cannot be used: .*Input/output error"):
        read(files, 0)
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken.* cannot be used"):
        CacheFiles(str(tmp_path / "taken"), ABOUT, 5, LAYOUT)


def test_making_it_may_be_interrupted(opened, tmp_path):
    files = opened()
    files.write(4, 7, values(0))
    os.remove(tmp_path / "cache" / "cache.json")
    os.remove(tmp_path / "cache" / "tap_0.bin")
    os.truncate(tmp_path / "cache" / "index.bin", 40)
    files = opened()
    assert read(files, 4) is None
    files.write(4, 7, values(0))
    assert_holds(files, 4, values(0))


@pytest.mark.parametrize("name", ["logits_0.bin", "index.bin"])
def test_files_of_another_size_are_refused(opened, tmp_path, name):
    opened()
    os.truncate(tmp_path / "cache" / name, 24)
    with pytest.raises(
        UserError, match=f"{name} has 24 bytes instead of .*; remove .*cache, and it is filled anew"
    ):
        opened()
    os.remove(tmp_path / "cache" / name)
    with pytest.raises(UserError, match=f"{name} is missing; remove"):
        opened()


@pytest.mark.parametrize("text", ["", "[1", json.dumps({"teacher": "other"}), "[" * 100_000])
def test_what_is_of_something_else_is_refused(opened, tmp_path, text):
    opened()
    (tmp_path / "cache" / "cache.json").write_text(text)
    with pytest.raises(UserError, match=r"cache\.json is damaged, or of something else; remove"):
        opened()
