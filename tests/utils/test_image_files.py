"""Which images a path or a list names, and the names of their results."""

import re

import pytest

from paddleseg.errors import UserError
from paddleseg.utils.image_files import image_files, named_images, read_lines, read_names


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.md", "sub/b.jpg", "sub/deep/c d.tif"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def names(paths):
    return [image.name for image in named_images(paths)]


def test_a_folder_stands_for_its_images_and_those_of_subfolders(folder):
    assert names(str(folder)) == ["a", "b", "sub/b", "sub/deep/c d"]
    assert [image.relative for image in named_images(str(folder))][-1] == "sub/deep/c d.tif"
    assert image_files(str(folder))[0] == str(folder / "a.PNG")


def test_a_list_names_images_and_masks_relative_to_its_folder(folder):
    path = folder / "list.txt"
    path.write_text("\ufeffsub/b.jpg masks/b.png\n\nsub/deep/c d.tif\nb.jpg\n", encoding="utf-8")
    images = named_images(str(path))
    assert [image.name for image in images] == ["sub/b", "sub/deep/c d", "b"]
    assert [image.mask for image in images] == [str(folder / "masks/b.png"), None, None]


def test_images_outside_of_the_lists_folder_are_named_from_their_common_folder(folder, tmp_path):
    path = tmp_path / "lists" / "list.txt"
    path.parent.mkdir()
    path.write_text(f"../photos/sub/b.jpg\n{folder / 'b.jpg'}\n")
    assert names(str(path)) == ["sub/b", "b"]


def test_a_single_image_has_its_own_name(folder, monkeypatch):
    assert names(str(folder / "sub/b.jpg")) == ["b"]
    monkeypatch.chdir(folder)
    assert names(["b.jpg"]) == ["b"]


def test_each_path_names_its_images_from_its_own_folder(folder):
    assert names([str(folder / "a.PNG"), str(folder / "sub/b.jpg")]) == ["a", "b"]
    assert names([str(folder / "a.PNG"), str(folder / "sub")]) == ["a", "b", "deep/c d"]


def test_equal_names_are_replaced_by_those_from_the_common_folder(folder):
    assert names([str(folder / "b.jpg"), str(folder / "sub")]) == ["b", "sub/b", "sub/deep/c d"]


def test_an_image_counts_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    paths = ["b.jpg", str(folder / "b.jpg"), "sub/../b.jpg", "sub/b.jpg"]
    assert names(paths) == ["b", "sub/b"]
    (folder / "list.txt").write_text("b.jpg one.png\na.PNG\nb.jpg two.png\n")
    assert [(image.name, image.mask) for image in named_images("list.txt")] == [("b", "one.png"), ("a", None)]


def test_names_without_suffix_stay_unique(tmp_path):
    for name in ("a.jpg", "a.png", "a.jpg.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert names(str(tmp_path)) == ["a.jpg", "a.jpg.png", "a.png", "b"]


def test_a_path_without_images_is_refused(tmp_path):
    for path, message in ((tmp_path / "gone", "there is no image, folder or list"), (tmp_path, "no image (")):
        with pytest.raises(UserError, match=re.escape(message)):
            named_images(str(path))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match=r"no image .*empty\.txt"):
        named_images(str(tmp_path / "empty.txt"))


def test_lines_stay_as_they_are_but_for_a_byte_order_mark(tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffa.png  \r\n\nb ü.png\nc\u2028\x0cd.png".encode())
    assert read_lines(tmp_path / "list.txt") == ["a.png  ", "", "b ü.png", "c\u2028\x0cd.png"]


def test_names_are_the_lines_without_blanks(tmp_path):
    (tmp_path / "list.txt").write_text("\n a b.png \n  \nc.png\n", encoding="utf-8")
    assert read_names(tmp_path / "list.txt") == ["a b.png", "c.png"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"cannot read the list '[^']*list.txt': there is no such file$"),
        (lambda path: path.mkdir(), "it is not a plain file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "'utf-8' codec"),
        (lambda path: path.symlink_to(path), "list.txt': Too many levels of symbolic links$"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(tmp_path, make, message):
    path = tmp_path / "list.txt"
    make(path)
    with pytest.raises(UserError, match=message):
        read_lines(path)


COMPANIONS = ["._a.PNG", "sub/._b.jpg", "Thumbs.db", ".DS_Store", "__MACOSX/a.jpg", "@eaDir/a.jpg/thumb.jpg"]


@pytest.mark.parametrize("name", [*COMPANIONS, ".ipynb_checkpoints/a-checkpoint.png"])
def test_files_that_systems_put_beside_images_are_no_images(folder, name, deployment):
    before = [names(str(folder)), deployment("photographs").image_files(str(folder))]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\5\26\7")
    assert [names(str(folder)), deployment("photographs").image_files(str(folder))] == before


def test_numpy_files_are_images_where_there_are_no_others(folder, tmp_path, deployment):
    (tmp_path / "arrays").mkdir()
    for place in (folder, tmp_path / "arrays"):
        (place / "n.npy").write_bytes(b"")
    assert names(str(folder)) == ["a", "b", "sub/b", "sub/deep/c d"]
    assert names(str(tmp_path / "arrays")) == ["n"]
    assert deployment("photographs").image_files(str(tmp_path / "arrays")) == [
        str(tmp_path / "arrays" / "n.npy")
    ]
