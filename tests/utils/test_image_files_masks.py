"""Folders of masks are distinguished from folders of photographs."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from paddleseg.utils.image_files import mask_folders, named_images

RNG = np.random.default_rng(0)


def photograph(path):
    cv2.imwrite(str(path), RNG.integers(0, 256, (32, 32, 3), dtype="uint8"))


def grey_mask(path):
    cv2.imwrite(str(path), RNG.integers(0, 5, (32, 32), dtype="uint8"))


def palette_mask(path):
    mask = Image.fromarray(RNG.integers(0, 5, (32, 32), dtype="uint8"))
    mask.putpalette(RNG.integers(0, 256, 768, dtype="uint8").tobytes())
    mask.save(path)


def grey_photograph(path):
    cv2.imwrite(str(path), RNG.integers(0, 256, (32, 32), dtype="uint8"))


def made(root, **kinds):
    """Write four files of a kind into each folder; return all paths."""
    files = []
    for folder, (write, suffix) in kinds.items():
        os.makedirs(root / folder)
        for i in range(4):
            files.append(str(root / folder / f"{i}{suffix}"))
            write(files[-1])
    return files


@pytest.mark.parametrize("write", [grey_mask, palette_mask])
def test_masks_beside_photographs_are_found(tmp_path, write):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(write, ".png"))
    assert mask_folders(files) == {str(tmp_path / "masks"): 4}


@pytest.mark.parametrize(
    "other",
    [(grey_photograph, ".png"), (photograph, ".png"), (grey_mask, ".bmp")],
    ids=["grey", "png", "bmp"],
)
def test_other_images_are_no_masks(tmp_path, other):
    assert mask_folders(made(tmp_path, images=(photograph, ".jpg"), others=other)) == {}


def test_a_folder_with_one_file_in_colour_holds_no_masks(tmp_path):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    photograph(files[-1])
    assert mask_folders(files) == {}


def test_masks_alone_count_as_images(tmp_path):
    assert mask_folders(made(tmp_path, masks=(grey_mask, ".png"))) == {}


def test_a_broken_file_is_no_mask(tmp_path):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    (tmp_path / "masks" / "0.png").write_bytes(b"no image")
    assert mask_folders(files) == {}


def test_a_data_sets_root_stands_for_its_photographs(tmp_path, capsys):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    assert [image.path for image in named_images(str(tmp_path))] == files[:4]
    assert f"4 images in {tmp_path / 'masks'} look like the masks" in capsys.readouterr().out
    assert len(named_images(str(tmp_path / "masks"))) == 4


@pytest.mark.parametrize(
    "other",
    [
        (grey_mask, ".png"),
        (palette_mask, ".png"),
        (grey_photograph, ".png"),
        (photograph, ".png"),
        (grey_mask, ".bmp"),
    ],
    ids=["grey mask", "palette mask", "grey", "photograph", "bmp"],
)
def test_a_deployment_leaves_out_the_same_masks(tmp_path, deployment, capsys, other):
    alone = deployment("photographs").without_masks
    files = made(tmp_path, images=(photograph, ".jpg"), others=other)
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    files.append(str(tmp_path / "images" / "gone.png"))
    ours = mask_folders(files)
    assert alone(files) == [file for file in files if os.path.dirname(file) not in ours]
    assert ("left out 4 masks in " in capsys.readouterr().err) == bool(ours)
    masks = [file for file in files if "others" in file]
    assert alone(masks) == masks


def test_a_picture_with_too_many_pixels_for_opencv_is_neither_mask_nor_photograph(tmp_path, deployment):
    alone = deployment("photographs")
    files = made(tmp_path, images=(photograph, ".jpg"), others=(grey_mask, ".png"))
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    with open(files[-4], "wb") as file:
        file.write(content)
    with pytest.raises(cv2.error, match="CV_IO_MAX_IMAGE_PIXELS"):
        cv2.imread(files[-4])
    assert mask_folders(files) == {}
    assert alone.without_masks(files) == files
    with pytest.raises(alone.ImageError, match="not an image that OpenCV reads"):
        alone.read_image(files[-4])
