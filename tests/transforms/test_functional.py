import numpy as np
import pytest
from PIL import Image, ImageEnhance
from transform_samples import PHOTO

from paddleseg.transforms import functional as F

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.4])
@pytest.mark.parametrize(
    ("change", "enhancer"),
    [
        (F.brightness, ImageEnhance.Brightness),
        (F.contrast, ImageEnhance.Contrast),
        (F.saturation, ImageEnhance.Color),
        (F.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_changes_equal_pillows(change, enhancer, factor):
    expected = np.asarray(enhancer(Image.fromarray(PHOTO)).enhance(factor)).astype(np.float32)
    got = change(PHOTO.astype(np.float32), factor)
    # Pillow rounds to bytes on the way, and does not smooth the outermost pixels.
    assert np.abs(got - expected)[1:-1, 1:-1].max() <= 1.5
    assert got.dtype == np.float32


@pytest.mark.parametrize("shift", [-40, 0, 18, 120])
def test_hue_equals_pillows(shift):
    hsv = np.array(Image.fromarray(PHOTO).convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + shift) % 256
    expected = np.asarray(Image.merge("HSV", [Image.fromarray(hsv[..., c]) for c in range(3)]).convert("RGB"))
    got = F.hue(PHOTO.astype(np.float32), shift)
    assert np.abs(got - expected).mean() < 3
    assert np.abs(got - expected).max() < 15


def test_resize_keeps_types_that_opencv_lacks():
    mask = RNG.integers(0, 5, (7, 9))
    small = mask.astype(np.uint8)
    got = F.resize(mask, (5, 11), "NEAREST")
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, F.resize(small, (5, 11), "NEAREST"))


def test_as_rng_follows_numpys_global_state():
    np.random.seed(5)
    first = F.as_rng().random(3)
    np.random.seed(5)
    assert F.as_rng().random(3).tolist() == first.tolist()
    given = np.random.default_rng(1)
    assert F.as_rng(given) is given
