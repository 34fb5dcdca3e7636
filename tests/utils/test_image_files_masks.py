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


@pytest.mark.parametrize(
    ("write", "suffix", "are_masks"),
    [
        (grey_mask, ".png", True),
        (palette_mask, ".png", True),
        (grey_photograph, ".png", False),
        (photograph, ".png", False),
        (grey_mask, ".bmp", False),
    ],
)
def test_masks_beside_photographs_are_found_also_in_a_deployment(
    tmp_path, deployment, capsys, write, suffix, are_masks
):
    without_masks = deployment("photographs").without_masks
    files = made(tmp_path, images=(photograph, ".jpg"), others=(write, suffix))
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    files.append(str(tmp_path / "images" / "gone.png"))
    assert mask_folders(files) == ({str(tmp_path / "others"): 4} if are_masks else {})
    assert without_masks(files) == [file for file in files if "others" not in file or not are_masks]
    assert ("left out 4 masks in " in capsys.readouterr().err) == are_masks
    masks = [file for file in files if "others" in file]
    assert mask_folders(masks) == {}
    assert without_masks(masks) == masks


def test_a_folder_with_one_file_in_colour_holds_no_masks(tmp_path):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    photograph(files[-1])
    assert mask_folders(files) == {}


def test_a_broken_file_is_no_mask(tmp_path):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    (tmp_path / "masks" / "0.png").write_bytes(b"no image")
    assert mask_folders(files) == {}


def test_a_data_sets_root_stands_for_its_photographs(tmp_path, capsys):
    files = made(tmp_path, images=(photograph, ".jpg"), masks=(grey_mask, ".png"))
    assert [image.path for image in named_images(str(tmp_path))] == files[:4]
    assert f"4 images in {tmp_path / 'masks'} look like the masks" in capsys.readouterr().out
    assert len(named_images(str(tmp_path / "masks"))) == 4


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
    with pytest.raises(alone.ImageError, match="its 40000 x 40000 pixels are more than"):
        alone.read_image(files[-4])
