"""Rows in files: what is read is what was written, or nothing."""

import errno
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from paddleseg.distill.teachers import cache_files
from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.errors import UserError

DESCRIPTION = {"teacher": "one", "views": 2}
LAYOUT = {"logits_0": ((2, 3), "float16"), "tap_0": ((4,), "float16")}


@pytest.fixture
def opened(tmp_path):
    """A function that opens the folder as a process does."""
    return lambda: CacheFiles(str(tmp_path / "cache"), DESCRIPTION, 5, LAYOUT)


@pytest.fixture
def disk(monkeypatch):
    """What opened files do, for tests to replace: `write(name, file, data)` and `read(name, file, size)`."""
    actions = SimpleNamespace(
        write=lambda name, file, data: file.write(data), read=lambda name, file, size: file.read(size)
    )

    class File:
        def __init__(self, path):
            self._file, self._name = open(path, "r+b", buffering=0), os.path.basename(path)  # noqa: SIM115
            self.seek = self._file.seek

        def write(self, data):
            return actions.write(self._name, self._file, data)

        def read(self, size):
            return actions.read(self._name, self._file, size)

    real = open

    def open_file(path, mode="r", **more):
        return File(path) if mode == "r+b" else real(path, mode, **more)

    monkeypatch.setattr(cache_files, "open", open_file, raising=False)
    return actions


def values(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, (shape, dtype) in LAYOUT.items()}


def read(files, row, image_id=7):
    """Return the arrays of a row, None if it cannot be read."""
    into = {name: array[0] for name, array in files.empty_rows(1).items()}
    return into if files.read(row, image_id, into) else None


def assert_holds(files, row, expected, image_id=7):
    got = read(files, row, image_id)
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
        assert_holds(files, 0, values(1), image_id=9)
        assert [read(files, row) is None for row in (1, 2, 4)] == [True] * 3
        assert files.num_filled() == 2


def test_a_row_of_another_image_is_not_read_and_may_be_replaced(opened):
    files = opened()
    files.write(2, 7, values(0))
    assert_holds(files, 2, values(0))
    assert read(files, 2, image_id=8) is None
    files.write(2, 8, values(1))
    assert read(files, 2) is None
    assert_holds(files, 2, values(1), image_id=8)
    assert files.num_filled() == 1


def test_sizes(opened, tmp_path):
    files = opened()
    assert files.row_bytes == 2 * (2 * 3 + 4)
    assert files.size == 5 * (files.row_bytes + 16)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "cache").iterdir()}
    assert sizes.pop("cache.json") > 0
    assert sizes == {"logits_0.bin": 5 * 12, "tap_0.bin": 5 * 8, "index.bin": 5 * 16}


@pytest.mark.parametrize("stop", ["logits_0.bin", "tap_0.bin", "index.bin"])
def test_a_process_killed_while_it_writes_leaves_no_row(opened, disk, stop):
    files = opened()
    files.write(1, 7, values(0))
    write = disk.write

    def killed(name, file, data):
        if name == stop and any(data):
            raise KeyboardInterrupt
        return write(name, file, data)

    disk.write = killed
    for row in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            files.write(row, 8, values(1))
        for image_id in (7, 8):
            assert read(opened(), row, image_id) is None
    disk.write = write
    files = opened()
    files.write(1, 8, values(1))
    assert_holds(files, 1, values(1), image_id=8)


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


def test_a_row_that_changes_while_it_is_read_is_not_used(opened, disk):
    one, other = opened(), opened()
    one.write(0, 7, values(0))
    assert_holds(one, 0, values(0))
    plain_read = disk.read

    def interfered(name, file, size):
        record = plain_read(name, file, size)
        disk.read = plain_read
        other.write(0, 7, values(1))
        return record

    disk.read = interfered
    assert read(one, 0) is None
    assert_holds(one, 0, values(1))


def test_a_record_of_another_row_does_not_count(opened, tmp_path):
    opened().write(0, 7, values(0))
    for name, size in (("index.bin", 16), ("logits_0.bin", 12), ("tap_0.bin", 8)):
        with open(tmp_path / "cache" / name, "r+b") as file:
            copied = file.read(size)
            file.write(copied)
    assert read(opened(), 1) is None


def test_a_full_disk_is_named_and_leaves_no_row(opened, disk):
    files = opened()
    files.write(0, 7, values(0))
    write, room = disk.write, [5]

    def full(name, file, data):
        if name != "tap_0.bin":
            return write(name, file, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(name, file, data[: room[0]])
        room[0] -= written
        return written

    disk.write = full
    message = r"^teacher_cache: no space is left for .*cache: it takes 180 bytes when full \(5 rows "
    with pytest.raises(UserError, match=message):
        files.write(1, 7, values(1))
    files = opened()
    assert read(files, 1) is None
    assert_holds(files, 0, values(0))


def test_other_errors_of_the_disk_are_named(opened, disk, tmp_path):
    files = opened()

    def broken(name, file, size):
        raise OSError(errno.EIO, "Input/output error")

    disk.read = broken
    with pytest.raises(UserError, match="^teacher_cache: .*cache cannot be used: .*Input/output error"):
        read(files, 0)
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken.* cannot be used"):
        CacheFiles(str(tmp_path / "taken"), DESCRIPTION, 5, LAYOUT)


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
        UserError, match=f"{name} has 24 bytes instead of .*; remove .*cache, and a new cache is filled"
    ):
        opened()
    os.remove(tmp_path / "cache" / name)
    with pytest.raises(UserError, match=f"{name} is missing; remove"):
        opened()


@pytest.mark.parametrize("text", ["", "[1", json.dumps({"teacher": "other"}), "[" * 100_000])
def test_another_description_is_refused(opened, tmp_path, text):
    opened()
    (tmp_path / "cache" / "cache.json").write_text(text)
    with pytest.raises(UserError, match=r"cache\.json is damaged or describes other rows; remove"):
        opened()
