import errno
import os

import pytest

from paddleseg.checkpoints.folder import folders_in, mend_folder, problem, write_folder, write_json


def text(content):
    def write(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)

    return write


def content(folder):
    with open(os.path.join(folder, "a"), encoding="utf-8") as file:
        return file.read()


def full_disk(path):
    text("half of it")(path)
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def final(tmp_path):
    """Path of a folder that is written and sound."""
    path = str(tmp_path / "iter_1")
    write_folder(path, {"a": text("first"), "b.json": write_json({"x": 1})})
    return path


def test_what_is_written_is_sound_and_nothing_is_left_beside(final, tmp_path):
    assert problem(final) is None
    assert sorted(os.listdir(final)) == ["a", "b.json", "manifest.json"]
    assert os.listdir(tmp_path) == ["iter_1"]


def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    real = os.rename

    def flushed(handle):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))

    def renamed(source, target):
        done.append("renamed")
        real(source, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("what is flushed is read from /proc")
    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "rename", renamed)
    write_folder(str(tmp_path / "iter_1"), {"a": text("1"), "b": text("2")})
    assert done == ["a", "b", "manifest.json", "iter_1.part", "renamed", tmp_path.name]


def test_a_folder_is_replaced_as_a_whole(final):
    write_folder(final, {"a": text("second")})
    assert problem(final) is None
    assert sorted(os.listdir(final)) == ["a", "manifest.json"]


def test_what_was_there_stays_if_the_new_one_cannot_be_written(final, tmp_path):
    with pytest.raises(OSError, match="No space left"):
        write_folder(final, {"a": text("second"), "b": full_disk})
    assert problem(final) is None
    assert content(final) == "first"
    assert os.listdir(tmp_path) == ["iter_1"]


def test_the_old_one_comes_back_if_the_last_renaming_fails(final, monkeypatch):
    rename = os.rename

    def failing(source, target):
        if source.endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        write_folder(final, {"a": text("second")})
    assert problem(final) is None


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: os.truncate(path, 3), "a has 3 bytes instead of 5"),
        (text("fIrst"), r"a differs from what was written \(SHA-256\)"),
        (os.remove, "a is missing"),
    ],
)
def test_a_damaged_file_is_found(final, harm, told):
    import re

    harm(os.path.join(final, "a"))
    assert re.fullmatch(told, problem(final))


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "{",
        "[]",
        '{"files": 3}',
        '{"files": {}}',
        '{"files": ["a"]}',
        '{"files": {"a": 1}}',
        "[" * 10**5,
        None,
    ],
)
def test_a_damaged_manifest_is_found(final, manifest):
    path = os.path.join(final, "manifest.json")
    os.remove(path) if manifest is None else text(manifest)(path)
    assert "manifest.json" in problem(final)


@pytest.mark.parametrize(
    "name", ["../a", "/etc/hostname", "x/a", "..\\\\a", "c:a", ".", "..", "manifest.json"]
)
def test_a_manifest_lists_files_of_its_own_folder_alone(final, name):
    text('{"files": {"%s": {"size": 1, "sha256": ""}}}' % name)(os.path.join(final, "manifest.json"))
    assert "which is not a file of this folder" in problem(final)


def test_what_is_needed_must_be_listed_and_what_would_be_used_as_well(final):
    assert problem(final, ["a"]) is None
    assert problem(final, ["a", "model.pdopt"]) == "manifest.json does not list model.pdopt"
    text("mine")(os.path.join(final, "notes.txt"))
    assert problem(final) is None
    text("foreign")(os.path.join(final, "extra.pdparams"))
    assert problem(final) == "manifest.json does not list extra.pdparams"


@pytest.mark.parametrize("name", ["a", "manifest.json"])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_no_regular_file_is_not_read(final, name, kind):
    path = os.path.join(final, name)
    os.remove(path)
    {"device": lambda: os.symlink("/dev/zero", path), "pipe": lambda: os.mkfifo(path)}.get(
        kind, lambda: os.makedirs(path)
    )()
    assert f"{name} is not a regular file" in problem(final)


def test_no_folder_is_a_problem(tmp_path):
    assert problem(str(tmp_path / "none")) == "manifest.json is missing"


def moved(final, **to):
    """Bring about what a killed process left: folders `part` and `old` beside, the final one gone."""
    for end in to:
        write_folder(f"{final}_{end}", {"a": text(end)})
        os.rename(f"{final}_{end}", f"{final}.{end}")


@pytest.mark.parametrize(
    ("beside", "kept"), [(["part"], "part"), (["old"], "old"), (["part", "old"], "part")]
)
def test_a_renaming_is_finished_or_undone(tmp_path, beside, kept):
    final = str(tmp_path / "best_model")
    moved(final, **dict.fromkeys(beside, True))
    assert folders_in(str(tmp_path)) == ["best_model"]
    mend_folder(final)
    assert os.listdir(tmp_path) == ["best_model"]
    assert content(final) == kept


def test_half_a_folder_is_removed_and_a_whole_one_kept(final, tmp_path):
    os.makedirs(final + ".part")
    text("half")(os.path.join(final + ".part", "a"))
    mend_folder(final)
    assert os.listdir(tmp_path) == ["iter_1"]
    assert problem(final) is None
    os.rename(final, final + ".old")
    os.makedirs(final + ".part")
    mend_folder(final)
    assert os.listdir(tmp_path) == ["iter_1"]
    assert problem(final) is None
