import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from transform_samples import PHOTO

from paddleseg.errors import SampleError
from paddleseg.transforms.reading import read_image, read_mask

RNG = np.random.default_rng(3)


def test_read_mask_gives_the_indices_of_a_palette(tmp_path):
    indices = RNG.integers(0, 4, (5, 6), dtype=np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    image.save(tmp_path / "mask.png")
    got = read_mask(tmp_path / "mask.png")
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, indices)


def test_read_mask_reads_16_bits_and_1_bit(tmp_path):
    wide = np.array([[0, 300], [65535, 2]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "wide.png"), wide)
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1").save(tmp_path / "bit.png")
    got = read_mask(tmp_path / "bit.png")
    assert got.dtype == np.uint8
    assert got.tolist() == [[0, 1], [1, 0]]


def test_read_mask_refuses_colours(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "colours.png")
    with pytest.raises(SampleError, match=r"colours\.png.*one class index per pixel"):
        read_mask(tmp_path / "colours.png")


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_unreadable_files_are_named(tmp_path, read):
    with pytest.raises(SampleError, match=r"nowhere\.png.*no such file"):
        read(tmp_path / "nowhere.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(SampleError, match=r"broken\.png"):
        read(str(tmp_path / "broken.png"))


@pytest.mark.parametrize("name", ["mask.npy", "mask.png"])
def test_a_mask_that_is_no_image_is_named_without_addresses_in_memory(tmp_path, name):
    with open(tmp_path / name, "wb") as file:
        np.save(file, np.zeros((4, 5), np.uint8))
    with pytest.raises(SampleError, match=rf"cannot read mask '.*{name}': it is no image") as caught:
        read_mask(tmp_path / name)
    assert "0x" not in str(caught.value)


def test_truncated_mask_is_named(tmp_path):
    Image.fromarray(RNG.integers(0, 255, (60, 60), dtype=np.uint8)).save(tmp_path / "half.png")
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SampleError, match=r"half\.png"):
        read_mask(tmp_path / "half.png")


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_images_are_read_as_opencv_reads_their_files(tmp_path, kind, channels):
    path = tmp_path / f"a{kind}"
    Image.fromarray(PHOTO).save(path)
    flag = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    got = read_image(path, channels)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, cv2.imread(str(path), flag))


def jpeg(**options):
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def thumbnail():
    """Return the EXIF of a camera, with a thumbnail, a whole JPEG with an end of its own, within."""
    small = jpeg(quality=10)
    return b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00" + small


WHOLE = {
    "plain": jpeg(),
    "progressive": jpeg(progressive=True),
    "with a thumbnail": jpeg(exif=thumbnail()),
    "with something behind": jpeg() + b"a film, say",
    "with a filled segment": jpeg().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_cut_off_jpeg_is_named_and_a_whole_one_is_read(tmp_path, kind):
    whole, path = WHOLE[kind], tmp_path / "a.jpg"
    path.write_bytes(whole)
    assert read_image(path).shape == PHOTO.shape
    end = whole.rindex(b"\xff\xd9")
    for size in (2, 3, 20, end // 2, end - 40, end, end + 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SampleError, match=r"a\.jpg.*cut off"):
            read_image(path)


def png(width, height):
    """Return a PNG whose header claims a size and which holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content", [b"", png(2**31 - 1, 2**31 - 1), png(100_000, 100_000), png(0, 5), png(9, 9)]
)
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_files_with_a_wrong_size_or_no_content_are_named(tmp_path, read, content):
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"cannot read (image|mask) .*odd\.png") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_path_that_is_no_plain_file_is_named(tmp_path, read):
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(SampleError, match="it is no plain file"):
            read(path)
    with pytest.raises(SampleError, match="null"):
        read("a\0b")
