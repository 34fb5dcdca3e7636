"""deploy/photographs.py: the images that a path names, how they are read, and the names of their masks."""

import os

import cv2
import numpy as np
import pytest

from paddleseg.errors import SampleError
from paddleseg.transforms import reading


@pytest.fixture(scope="module")
def photographs(deployment):
    """deploy/photographs.py, as a module."""
    return deployment("photographs")


@pytest.mark.parametrize("kind", ["baseline", "progressive", "thumbnail", "trailer"])
def test_an_image_that_is_cut_off_is_refused_as_in_training(tmp_path, photographs, kind):
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype="uint8")
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == "progressive")]
    whole = cv2.imencode(".jpg", picture, flags)[1].tobytes()
    if kind == "thumbnail":
        small = b"Exif\0\0" + cv2.imencode(".jpg", picture[:8, :8])[1].tobytes()
        whole = whole[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + whole[2:]
    end = len(whole)
    whole += b"\xff\xda of a film, such as telephones append" if kind == "trailer" else b""
    path = tmp_path / "a.jpg"
    for length in (len(whole), end):
        path.write_bytes(whole[:length])
        np.testing.assert_array_equal(photographs.read_image(str(path))[..., ::-1], cv2.imread(str(path)))
    for length in (end - 1, end - 60, end // 2, end // 4, 30, 0):
        path.write_bytes(whole[:length])
        with pytest.raises(photographs.ImageError, match="it is cut off"):
            photographs.read_image(str(path))
        with pytest.raises(SampleError):
            reading.read_image(str(path))
    with pytest.raises(photographs.ImageError, match="there is no such file"):
        photographs.read_image(str(tmp_path / "gone.jpg"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_opened(tmp_path, photographs):
    os.mkfifo(tmp_path / "a.jpg")
    cv2.imwrite(str(tmp_path / "b.jpg"), np.zeros((8, 8, 3), "uint8"))
    assert photographs.image_files(str(tmp_path)) == [str(tmp_path / "b.jpg")]
    with pytest.raises(photographs.ImageError, match="there is no such file"):
        photographs.read_image(str(tmp_path / "a.jpg"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"caf\xe9.jpg\n", "is not UTF-8 text"),
        (b"\n", "there is no image at"),
        (b"a\0.jpg\n", "holds a null character"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, photographs, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(photographs.UserError, match=message):
        photographs.image_files(str(tmp_path / "list.txt"))


def test_a_list_that_may_not_be_read_is_refused(tmp_path, photographs, monkeypatch):
    def refusing(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "list.txt").write_bytes(b"a.jpg\n")
    monkeypatch.setattr("pathlib.Path.read_text", refusing)
    with pytest.raises(photographs.UserError, match="cannot read .*: Permission denied"):
        photographs.image_files(str(tmp_path / "list.txt"))


def test_a_list_may_name_masks_and_names_may_hold_spaces(tmp_path, photographs):
    image_files = photographs.image_files
    folder = tmp_path / "my photos"
    folder.mkdir()
    for name in ("a b.jpg", "c.jpg"):
        (folder / name).write_bytes(b"")
    (folder / "list.txt").write_text("a b.jpg\n\nc.jpg c.png\n", encoding="utf-8")
    assert image_files(str(folder / "list.txt")) == [str(folder / "a b.jpg"), str(folder / "c.jpg")]


def test_masks_have_different_names(photographs):
    names = photographs.mask_names
    assert names(["p/a/x.jpg", "p/b/x.jpg", "p/b/y.png"]) == ["a/x.png", "b/x.png", "b/y.png"]
    assert names(["p/x.jpg", "p/x.png", "p/z.png"]) == ["x.jpg.png", "x.png.png", "z.png"]
    # x_color.png is the picture of x.jpg for people.
    assert names(["p/x.jpg", "p/x_color.jpg"]) == ["x.png", "x_color.jpg.png"]
    # x.jpg.png would be the mask of x.jpg and of x.jpg.png.
    given = ["p/x.jpg", "p/x.png", "p/x.jpg.png"]
    assert names(given) == ["x.jpg.png", "x.png.png", "x.jpg.png.png"]


def test_an_image_that_a_list_names_twice_counts_once(tmp_path, photographs):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "list.txt").write_text("a.jpg\n./a.jpg\na.jpg a.png\n", encoding="utf-8")
    (found,) = photographs.image_files(str(tmp_path / "list.txt"))
    assert os.path.samefile(found, tmp_path / "a.jpg")


def test_masks_of_an_earlier_run_are_left_out(tmp_path, photographs, deployment, capsys):
    infer = deployment("infer")
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype="uint8")
    for name in ("a.jpg", "b.jpg", "sky_color.png"):
        cv2.imwrite(str(tmp_path / name), noise)
    cv2.imwrite(str(tmp_path / "sky.png"), noise)
    photos = photographs.image_files(str(tmp_path))
    assert [os.path.basename(file) for file in photos] == ["a.jpg", "b.jpg", "sky.png", "sky_color.png"]
    for folder in (tmp_path, tmp_path / "masks"):
        for name in ("a", "b"):
            infer.write_mask(str(folder / f"{name}.png"), noise[..., 0] % 3, infer.palette(3))
    assert photographs.image_files(str(tmp_path)) == photos
    assert capsys.readouterr().err == f"left out 8 masks of an earlier run, such as {tmp_path / 'a.png'}\n"
    # A folder of masks alone stands for these masks.
    assert len(photographs.image_files(str(tmp_path / "masks"))) == 4
