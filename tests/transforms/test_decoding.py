"""Images of any depth, number of bands and orientation."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiff_files import tiff
from transform_samples import PHOTO

from paddleseg.transforms.decoding import decode, read_header, to_bytes_range, upright

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(7)
COLOURS = RNG.integers(0, 256, (8, 12, 4), dtype=np.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def tagged(image, kind, orientation, **options):
    """Return a file that carries an EXIF orientation."""
    exif = Image.Exif()
    exif[0x112] = orientation
    return saved(image, kind, exif=exif, **options)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["decoding.py", "tiff.py"])
def test_deploy_has_a_copy(name):
    """Only the import of a neighbour differs."""
    ours, copy = (
        [line for line in (ROOT / place / name).read_text(encoding="utf-8").splitlines() if line]
        for place in ("paddleseg/transforms", "deploy")
    )
    assert [line for line in ours if not line.endswith("import tiff")] == [
        line for line in copy if line != "import tiff"
    ]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_set_upright_in_every_kind_of_file(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    content = tagged(PHOTO, kind, orientation, **options)
    assert read_header(content).orientation == orientation
    stored = decode(saved(PHOTO, kind, **options), 3)
    np.testing.assert_array_equal(decode(content, 3), upright(stored, orientation))
    expected = Image.fromarray(stored)
    expected.getexif()[0x112] = orientation
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    if turned is not None:
        expected = expected.transpose(Image.Transpose(turned))
    np.testing.assert_array_equal(upright(stored, orientation), np.asarray(expected))


def test_opencv_agrees_on_the_orientation_of_photographs():
    for orientation in range(1, 9):
        content = tagged(PHOTO, "JPEG", orientation)
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode(content, 3), expected)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_an_alpha_band_is_known_and_read_if_it_is_wanted(kind):
    content = saved(COLOURS, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    header = read_header(content)
    assert (header.width, header.height, header.bands, header.alpha) == (12, 8, 4, True)
    np.testing.assert_array_equal(decode(content, 4), COLOURS)
    assert decode(content, 3).shape == (8, 12, 3)
    assert not read_header(saved(COLOURS[..., :3], kind)).alpha


def test_other_transparency_is_known():
    assert read_header(saved(Image.fromarray(COLOURS).convert("LA"), "PNG")).alpha
    palette = saved(Image.fromarray(COLOURS[..., 0]).convert("P"), "PNG", transparency=3)
    assert read_header(palette).alpha
    assert read_header(saved(COLOURS, "BMP")).bands in (3, 4)


def test_a_fourth_band_that_is_not_called_alpha_is_refused_for_three():
    for content in (tiff(COLOURS), npy(COLOURS)):
        np.testing.assert_array_equal(decode(content, 4), COLOURS)
        for channels in (1, 3):
            with pytest.raises(ValueError, match=f"it has 4 bands, and img_channels is {channels}"):
                decode(content, channels)
    with pytest.raises(ValueError, match="it has 3 bands, and img_channels is 5"):
        decode(saved(PHOTO, "PNG"), 5)
    with pytest.raises(ValueError, match="it has 12 bands, and img_channels is 4; bands are the last axis"):
        decode(npy(COLOURS.transpose(2, 0, 1)), 4)


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_16_bits_are_kept_in_grey_and_in_colour(kind):
    array = RNG.integers(0, 2**16, (9, 7, 3), dtype=np.uint16)
    colour = cv2.imencode(kind, array)[1].tobytes()
    grey = cv2.imencode(kind, array[..., 0])[1].tobytes()
    np.testing.assert_array_equal(decode(colour, 3), array)
    np.testing.assert_array_equal(decode(grey, 1), array[..., 0])
    np.testing.assert_array_equal(decode(grey, 3), array[..., [0, 0, 0]])
    got = decode(colour, 1)
    assert got.dtype == np.uint16
    # OpenCV's reader of PNG rounds the weights of the colours.
    np.testing.assert_allclose(got, array @ [0.114, 0.587, 0.299], atol=1.5 if kind == ".tif" else 50)


def test_numpy_files_may_have_any_bands():
    for array in (RNG.normal(size=(6, 5)), RNG.normal(size=(6, 5, 7)).astype("float32")):
        bands = 1 if array.ndim == 2 else 7
        np.testing.assert_array_equal(decode(npy(array), bands), array)
    rgb = RNG.normal(size=(6, 5, 3))
    np.testing.assert_array_equal(decode(npy(rgb), 3), rgb[..., ::-1])
    for wrong in (npy(np.array([{}])), npy(rgb)[:90], npy(np.zeros((2, 2, 2, 2)))):
        with pytest.raises((ValueError, EOFError)):
            decode(wrong, 3)


def test_bytes_stay_and_other_types_keep_every_value():
    array = np.arange(256, dtype=np.uint8)
    assert to_bytes_range(array) is array
    assert to_bytes_range(array, [0, 255]) is array
    for dtype in ("int8", "uint16", "int16"):
        info = np.iinfo(dtype)
        everything = np.arange(info.min, info.max + 1).astype(dtype)
        got = to_bytes_range(everything)
        assert got.dtype == np.float32
        assert (got[0], got[-1], len(np.unique(got))) == (0, 255, len(everything))


def test_a_stated_range_becomes_0_and_255():
    got = to_bytes_range(np.array([-2000, -1000, 0, 1000, 9000], np.int16), (-1000, 1000))
    assert got.tolist() == [0, 0, 127.5, 255, 255]
    assert to_bytes_range(np.array([0, 0.5, 1], np.float64), (0, 1)).tolist() == [0, 127.5, 255]
    assert to_bytes_range(np.array([0, 100, 200], np.uint8), (0, 200)).tolist() == [0, 127.5, 255]


@pytest.mark.parametrize(
    ("array", "value_range", "message"),
    [
        (np.zeros(3, np.float32), None, r"float32, so img_range: \[low, high\] must state"),
        (np.zeros(3, np.int32), None, "int32, so img_range"),
        (np.array([0, np.nan]), (0, 1), "no numbers"),
        (np.array([0, np.inf]), (0, 1), "no numbers"),
        (np.zeros(3, np.uint8), (0, 4095), r"uint8, which end below img_range \[0.0, 4095.0\]"),
    ],
)
def test_values_without_a_scale_are_refused(array, value_range, message):
    with pytest.raises(ValueError, match=message):
        to_bytes_range(array, value_range)


def test_what_a_header_states_is_read_and_damage_is_no_error():
    assert read_header(saved(PHOTO, "JPEG")).lossy
    assert read_header(saved(PHOTO, "WEBP")).lossy
    assert read_header(tiff(PHOTO, t259=7)).lossy
    for kind in ("PNG", "TIFF", "BMP"):
        header = read_header(saved(PHOTO, kind))
        assert (header.kind, header.width, header.height, header.bits) == (kind.lower(), 42, 36, 8)
        assert not header.lossy
    for content in (b"", b"II*\0", b"RIFF", b"BM", b"\x93NUMPY", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        assert read_header(content).orientation == 1
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        whole = saved(PHOTO, kind)
        for size in range(0, 60, 7):
            assert read_header(whole[:size]).orientation == 1
