"""TIFF files of any depth, any number of bands and any layout."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from tiff_files import tiff

from paddleseg.transforms.decoding import decode, read_header
from paddleseg.transforms.tiff import orientation

RNG = np.random.default_rng(5)
LAYOUTS = {
    "plain": {},
    "big-endian": {"order": ">"},
    "deflated": {"compressed": True},
    "planar": {"planar": True, "compressed": True},
    "tiles": {"tile": (16, 16), "order": ">"},
    "planar tiles": {"tile": (16, 32), "planar": True, "compressed": True},
}


def values(dtype, bands, size=(21, 37)):
    return RNG.normal(100, 60, (*size, bands)).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64"]
)
def test_all_bands_are_read_as_they_are_in_any_layout(dtype, layout):
    for bands in (2, 5):
        array = values(dtype, bands)
        got = decode(tiff(array, **LAYOUTS[layout]), bands)
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "predictor"), [("uint8", 2), ("uint16", 2), ("int32", 2), ("float32", 3), ("float64", 3)]
)
def test_differences_are_summed_up(dtype, predictor, layout):
    array = values(dtype, 5)
    np.testing.assert_array_equal(decode(tiff(array, predictor=predictor, **LAYOUTS[layout]), 5), array)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_opencvs_files_are_read_in_every_compression(dtype, compression):
    for bands in (1,) if dtype == "int16" else (1, 3, 4):  # more bands of it OpenCV does not write
        array = values(dtype, bands)
        _, content = cv2.imencode(".tif", array, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
        got = decode(content.tobytes(), bands)
        expected = array[..., 0] if bands == 1 else array[..., [2, 1, 0, 3]] if bands == 4 else array
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.dtype(dtype)


def test_three_bands_that_are_not_called_colours_are_not_taken_for_a_grey_one():
    array = values("uint8", 3)
    np.testing.assert_array_equal(decode(tiff(array), 3), array[..., ::-1])


def test_pages_of_equal_size_are_bands():
    array = values("uint16", 5)
    buffer = io.BytesIO()
    first, *rest = [Image.fromarray(array[..., i]) for i in range(5)]
    first.save(buffer, "TIFF", save_all=True, append_images=rest)
    content = buffer.getvalue()
    assert read_header(content).bands == 5
    np.testing.assert_array_equal(decode(content, 5), array)
    with pytest.raises(ValueError, match="it has 5 bands, and img_channels is 3"):
        decode(content, 3)


def test_smaller_pages_are_previews():
    array = values("uint8", 3)
    buffer = io.BytesIO()
    small = Image.fromarray(array[:5, :5])
    Image.fromarray(array).save(buffer, "TIFF", save_all=True, append_images=[small])
    np.testing.assert_array_equal(decode(buffer.getvalue(), 3), array[..., ::-1])


def test_what_is_not_supported_is_refused():
    content = tiff(values("uint16", 5), t259=50002)
    with pytest.raises(ValueError, match="TIFF compression 50002"):
        decode(content, 5)
    whole = tiff(values("uint16", 5), compressed=True)
    for size in (0, 4, 8, 20, len(whole) // 2, len(whole) - 30):
        with pytest.raises(ValueError):  # noqa: PT011
            decode(whole[:size] or b"II*\0", 5)


def test_an_orientation_that_is_none_counts_as_upright():
    assert orientation(tiff(values("uint8", 1), t274=6)) == 6
    assert orientation(tiff(values("uint8", 1), t274=99)) == 1
    assert orientation(tiff(values("uint8", 1))) == 1
    assert orientation(b"") == orientation(b"II*\0") == orientation(b"nonsense") == 1
