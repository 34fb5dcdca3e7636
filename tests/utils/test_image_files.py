"""Which images a path means, and the names of what is made of them."""

import re

import pytest

from paddleseg.errors import UserError
from paddleseg.utils.image_files import image_files, named_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.md", "sub/b.jpg", "sub/deep/c d.tif"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def names(paths):
    return [image.name for image in named_images(paths)]


def test_a_folder_means_its_images_and_those_below(folder):
    assert names(str(folder)) == ["a", "b", "sub/b", "sub/deep/c d"]
    assert [image.relative for image in named_images(str(folder))][-1] == "sub/deep/c d.tif"
    assert image_files(str(folder))[0] == str(folder / "a.PNG")


def test_a_list_names_images_and_perhaps_masks_relative_to_itself(folder):
    path = folder / "list.txt"
    path.write_text("\ufeffsub/b.jpg masks/b.png\n\nsub/deep/c d.tif\nb.jpg\n", encoding="utf-8")
    images = named_images(str(path))
    assert [image.name for image in images] == ["sub/b", "sub/deep/c d", "b"]
    assert [image.mask for image in images] == [str(folder / "masks/b.png"), None, None]


def test_a_list_of_images_elsewhere_names_them_by_what_they_share(folder, tmp_path):
    path = tmp_path / "lists" / "list.txt"
    path.parent.mkdir()
    path.write_text(f"../photos/sub/b.jpg\n{folder / 'b.jpg'}\n")
    assert names(str(path)) == ["sub/b", "b"]


def test_an_image_alone_is_called_by_its_name(folder, monkeypatch):
    assert names(str(folder / "sub/b.jpg")) == ["b"]
    monkeypatch.chdir(folder)
    assert names(["b.jpg"]) == ["b"]


def test_several_paths_are_each_named_from_where_it_is(folder):
    assert names([str(folder / "a.PNG"), str(folder / "sub/b.jpg")]) == ["a", "b"]
    assert names([str(folder / "a.PNG"), str(folder / "sub")]) == ["a", "b", "deep/c d"]


def test_what_would_be_called_the_same_is_named_from_what_all_share(folder):
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


def test_what_holds_no_image_is_refused(tmp_path):
    for path, told in ((tmp_path / "gone", "there is no image, folder or list"), (tmp_path, "no image (")):
        with pytest.raises(UserError, match=re.escape(told)):
            named_images(str(path))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match=r"no image .*empty\.txt"):
        named_images(str(tmp_path / "empty.txt"))
    (tmp_path / "latin.txt").write_bytes(b"\xe9.jpg\n")
    with pytest.raises(UserError, match="cannot read the list"):
        named_images(str(tmp_path / "latin.txt"))
