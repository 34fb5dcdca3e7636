import numpy as np
import pytest

from paddleseg.annotations.rle import decode_rle
from paddleseg.errors import UserError

# Written by pycocotools 2.0.11 of masks that NumPy 1.26.4 makes.
NOISE = "331N00000140L05OM"
DISC = "Rg05P16K4M2N2N2O0O2O000O2O00000001N10001N101N2N2N3L5Jid0"


def noise():
    return np.random.default_rng(0).random((7, 5)) < 0.5


def disc():
    y, x = np.ogrid[:40, :60]
    return (y - 20) ** 2 + (x - 30) ** 2 < 150


@pytest.mark.parametrize(("text", "mask"), [(NOISE, noise), (DISC, disc)])
def test_compressed_text_is_decoded_as_pycocotools_does(text, mask):
    expected = mask()
    np.testing.assert_array_equal(decode_rle(text, *expected.shape), expected)
    np.testing.assert_array_equal(decode_rle(text.encode(), *expected.shape), expected)


def test_runs_go_down_the_columns_and_begin_with_0():
    expected = np.array([[0, 1, 0], [1, 1, 0]], bool)
    np.testing.assert_array_equal(decode_rle([1, 3, 2], 2, 3), expected)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1, 300, 2], "the runs of its RLE cover 303 pixels, but 3 x 2 pixels are 6"),
        ([1, 2], "cover 3 pixels"),
        ([10**30], "cover 1000000000000000000000000000000 pixels"),
        ([8, -2], "no whole numbers of 0 or above"),
        ([1.0, 5], "no whole numbers"),
        ([True, 5], "no whole numbers"),
        ({"a": 1}, "no whole numbers"),
        (NOISE, "cover 35 pixels"),
        (NOISE + "o", "cut off in the middle of a number"),
        ("oooooooooooooooooooo0", "holds text that no encoder writes"),
        ("12 3", "holds text that no encoder writes"),
        ("1é", "holds text that no encoder writes"),
        ("O", "no whole numbers of 0 or above"),
    ],
)
def test_a_damaged_encoding_is_refused(counts, told):
    with pytest.raises(UserError, match=told):
        decode_rle(counts, 2, 3)
