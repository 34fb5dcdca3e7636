"""Images of more than 8 bits, and of more than three bands, in transforms."""

import cv2
import numpy as np
import pytest
from tiff_files import tiff
from transform_samples import NEEDED

from paddleseg import transforms as T
from paddleseg.cvlibs import manager
from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import Compose, Normalize
from paddleseg.transforms.reading import read_image, read_mask, read_picture

RNG = np.random.default_rng(11)
# Every value is another one, 0..4095, in a smooth picture.
RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def ramp(tmp_path):
    cv2.imwrite(str(tmp_path / "ramp.png"), RAMP)
    return tmp_path / "ramp.png"


@pytest.mark.parametrize("kind", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_value_is_another_one(tmp_path, kind, channels):
    cv2.imwrite(str(tmp_path / f"a{kind}"), RAMP)
    for img_range, highest in ((None, 4095 / 65535 * 255), ((0, 4095), 255)):
        image = read_image(tmp_path / f"a{kind}", channels, img_range)
        assert image.dtype == np.float32
        assert len(np.unique(image)) == RAMP.size
        np.testing.assert_allclose((image.min(), image.max()), (0, highest), rtol=1e-6)


def test_normalize_sees_the_same_numbers_as_for_8_bits(tmp_path):
    coarse = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "8.png"), coarse)
    cv2.imwrite(str(tmp_path / "16.png"), coarse.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "stated.png"), coarse.astype(np.uint16))
    compose = {None: Compose([Normalize()]), (0, 255): Compose([Normalize()], img_range=[0, 255])}
    expected = compose[None]({"img": str(tmp_path / "8.png")})["img"]
    np.testing.assert_array_equal(compose[0, 255]({"img": str(tmp_path / "8.png")})["img"], expected)
    for name, img_range in (("16.png", None), ("stated.png", (0, 255))):
        got = compose[img_range]({"img": str(tmp_path / name)})["img"]
        np.testing.assert_allclose(got, expected, atol=1e-5)


IN_8_BITS = {
    "RandomBlur": {"prob": 1},
    "RandomAffine": {"size": [64, 64], "max_rotation": 0, "min_scale_factor": 1, "max_scale_factor": 1},
    "ScalePadding": {"target_size": [64, 64]},
}


@pytest.mark.parametrize("name", IN_8_BITS)
def test_transforms_that_work_in_8_bits_keep_the_depth(ramp, name):
    transform = manager.TRANSFORMS[name](**IN_8_BITS[name])
    got = Compose([transform], img_channels=1, img_range=[0, 4095])(
        {"img": str(ramp)}, np.random.default_rng(0)
    )
    assert len(np.unique(got["img"])) > 2000
    assert 0 <= got["img"].min() <= got["img"].max() <= 255
    assert set(got) == {"img", "gt_fields", "trans_info"}


@pytest.mark.parametrize("kind", ["gaussian", "median", "blur"])
def test_every_blur_takes_more_than_8_bits(ramp, kind):
    compose = Compose([T.RandomBlur(1, kind)], img_channels=1, img_range=[0, 4095])
    for seed in range(8):
        assert len(np.unique(compose({"img": str(ramp)}, np.random.default_rng(seed))["img"])) > 2000


@pytest.mark.parametrize("name", [name for name in T.__all__ if name not in ("Compose", "Normalize")])
@pytest.mark.parametrize("bands", [2, 4, 7])
def test_every_transform_takes_any_number_of_bands(tmp_path, name, bands):
    """What it does to the bands of a grey image it does to each of them."""
    array = np.repeat(np.arange(30 * 40, dtype=np.uint16).reshape(30, 40, 1), bands, axis=2)
    (tmp_path / "a.tif").write_bytes(tiff(array))
    transform = manager.TRANSFORMS[name](**NEEDED.get(name, {}))
    compose = Compose([transform, Normalize()], img_channels=bands, img_range=[0, 1199])
    got = compose({"img": str(tmp_path / "a.tif")}, np.random.default_rng(4))["img"]
    assert got.shape[0] == bands
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    if name != "RandomNoise":
        np.testing.assert_allclose(got, np.repeat(got[:1], bands, axis=0), atol=1e-5)


def test_normalize_has_a_mean_and_a_deviation_for_each_band(tmp_path):
    np.save(tmp_path / "a.npy", RNG.random((6, 5, 4)))
    mean, std = [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]
    compose = Compose([Normalize(mean, std)], img_channels=4, img_range=[0, 1])
    got = compose({"img": str(tmp_path / "a.npy")})["img"]
    expected = (np.load(tmp_path / "a.npy") - mean) / std
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1), atol=1e-5)
    with pytest.raises(UserError, match="mean and std must fit an image of 4 channels, not 3"):
        Compose([Normalize(mean[:3])], img_channels=4, img_range=[0, 1])({"img": str(tmp_path / "a.npy")})
    with pytest.raises(UserError, match="as many numbers"):
        Normalize(mean, std[:3])


def test_the_bands_reach_the_model_in_the_order_of_the_file(tmp_path):
    array = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    (tmp_path / "a.tif").write_bytes(tiff(array))
    for name in ("a.npy", "a.tif"):
        got = Compose([])({"img": str(tmp_path / name)})["img"]
        np.testing.assert_array_equal(got, array.transpose(2, 0, 1))


def test_what_has_no_scale_is_refused_by_name(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 5, 3), np.float32))
    for call in (read_image, Compose([])._image):
        with pytest.raises(
            SampleError, match=r"cannot read image .*a\.npy.*so img_range: \[low, high\] must state"
        ):
            call(str(tmp_path / "a.npy"))
    for wrong in ([1, 0], [0], "0, 1", [0, float("nan")], [True, 5], 3):
        with pytest.raises(
            UserError, match=r"img_range must be \[low, high\], two numbers in ascending order"
        ):
            Compose([], img_range=wrong)


def test_arrays_of_other_values_than_bytes_need_a_range():
    array = np.full((4, 4, 3), 1000, np.int64)
    with pytest.raises(UserError, match=r"img holds 1000\.\.1000, but without img_range values are 0\.\.255"):
        Compose([])({"img": array})
    got = Compose([], img_range=[0, 2000])({"img": array})["img"]
    assert (got == 127.5).all()
    np.testing.assert_array_equal(Compose([])({"img": np.full((4, 4, 3), 200)})["img"], 200)


def test_a_picture_for_people_has_three_colours(tmp_path):
    array = RNG.random((6, 5, 7))
    np.save(tmp_path / "a.npy", array)
    got = read_picture(str(tmp_path / "a.npy"), 7, (0, 1))
    np.testing.assert_array_equal(got, np.rint(array[..., [2, 1, 0]] * 255).astype(np.uint8))
    np.save(tmp_path / "b.npy", array[..., :2])
    assert read_picture(str(tmp_path / "b.npy"), 2, (0, 1)).shape == (6, 5, 3)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_one_limit_of_pixels_counts_for_images_and_masks(tmp_path, monkeypatch, read):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40), np.uint8))
    path = str(tmp_path / "a.png")
    monkeypatch.setenv("PADDLESEG_MAX_PIXELS", "1200")
    assert read(path).shape[:2] == (30, 40)
    monkeypatch.setenv("PADDLESEG_MAX_PIXELS", "1199")
    with pytest.raises(
        SampleError, match="its 40 x 30 pixels are more than 1199; .*PADDLESEG_MAX_PIXELS to 1200"
    ):
        read(path)
    monkeypatch.setenv("PADDLESEG_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="PADDLESEG_MAX_PIXELS must be a whole number above 0, not 'many'"):
        read(path)


def test_a_mask_that_pillow_takes_for_a_bomb_is_read(tmp_path):
    """Its own limit was 179 million pixels, that of images 1074 million."""
    side = 13_500
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((side, side), np.uint8))
    assert read_mask(tmp_path / "a.png").shape == (side, side)


def test_masks_are_set_upright_and_have_one_page(tmp_path):
    mask = RNG.integers(0, 5, (7, 9), dtype=np.uint8)
    (tmp_path / "a.tif").write_bytes(tiff(mask, t274=6))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), np.rot90(mask, -1))
    (tmp_path / "b.tif").write_bytes(tiff(mask))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif"), mask)
