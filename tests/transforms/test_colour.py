import numpy as np
import pytest
from transform_samples import ARRAYS, sample, uniform_distance

from paddleseg import transforms as T
from paddleseg.errors import UserError
from paddleseg.transforms import functional as F


def test_distort_without_probability_or_range_changes_nothing():
    off = {f"{name}_prob": 0 for name in ("brightness", "contrast", "saturation", "hue", "sharpness")}
    data = T.RandomDistort(**off)(sample())
    assert data["img"].dtype == np.float32
    np.testing.assert_array_equal(data["img"], ARRAYS["image"])
    still = {key.replace("prob", "range"): 0 for key in off}
    data = T.RandomDistort(**still, **dict.fromkeys(off, 1))(sample())
    np.testing.assert_allclose(data["img"], ARRAYS["image"], atol=0.05)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue", "sharpness"])
def test_each_change_of_distort_has_its_own_probability(name):
    chances = {f"{n}_prob": 0 for n in ("brightness", "contrast", "saturation", "hue", "sharpness")}
    transform = T.RandomDistort(**{**chances, f"{name}_prob": 1})
    data = transform(sample(), np.random.default_rng(2))
    assert np.abs(data["img"] - ARRAYS["image"]).mean() > 0.3
    assert data["img"].min() >= 0
    assert data["img"].max() <= 255
    np.testing.assert_array_equal(data["label"], ARRAYS["mask"])


def test_distort_brightness_stays_in_its_range():
    image = np.full((2, 2, 3), 100, np.uint8)
    off = {"contrast_prob": 0, "saturation_prob": 0, "hue_prob": 0}
    transform = T.RandomDistort(brightness_range=0.2, brightness_prob=1, **off)
    rng = np.random.default_rng(0)
    values = [transform(sample(image, image[..., 0]), rng)["img"][0, 0, 0] for _ in range(100)]
    assert 80 <= min(values) < 85
    assert 115 < max(values) <= 120


def test_distort_of_a_grey_image():
    grey = ARRAYS["image"][..., 0]
    chances = {f"{n}_prob": 1 for n in ("brightness", "contrast", "saturation", "hue", "sharpness")}
    assert T.RandomDistort(**chances)(sample(grey))["img"].shape == grey.shape


def test_normalize_needs_fitting_channels():
    with pytest.raises(UserError, match="image of 1 channels"):
        T.Normalize([0.5] * 3, [0.5] * 3)(sample(ARRAYS["image"][..., 0]))


@pytest.mark.parametrize("prob", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("make", [T.RandomBlur, T.RandomNoise])
def test_blur_and_noise_have_their_probability(make, prob):
    small = sample(ARRAYS["image"][:12, :12], ARRAYS["mask"][:12, :12])
    rng, count = np.random.default_rng(0), 400
    changed = sum(not np.array_equal(make(prob)({**small}, rng)["img"], small["img"]) for _ in range(count))
    assert abs(changed - count * prob) <= 3.3 * (count * prob * (1 - prob)) ** 0.5


@pytest.mark.parametrize("kind", ["gaussian", "median", "blur"])
def test_blur_draws_its_kernels_as_often_as_paddleseg(kind):
    possible = {F.blur(ARRAYS["image"], kind, side).tobytes(): side for side in (3, 5, 7, 9)}
    rng, counts = np.random.default_rng(0), dict.fromkeys((3, 5, 7, 9), 0)
    for _ in range(350):
        data = T.RandomBlur(1, kind)(sample(), rng)
        assert data["img"].dtype == np.float32
        np.testing.assert_array_equal(data["label"], ARRAYS["mask"])
        counts[possible[data["img"].astype(np.uint8).tobytes()]] += 1
    assert abs(counts[3] - 50) < 23
    assert all(abs(counts[side] - 100) < 30 for side in (5, 7, 9))


def test_blur_random_draws_every_kind():
    kinds = {
        F.blur(ARRAYS["image"], kind, side).tobytes(): kind
        for kind in ("gaussian", "median", "blur")
        for side in (3, 5, 7, 9)
    }
    rng = np.random.default_rng(0)
    drawn = [
        kinds[T.RandomBlur(1, "random")(sample(), rng)["img"].astype(np.uint8).tobytes()] for _ in range(300)
    ]
    for kind, share in (("gaussian", 0.3), ("median", 0.3), ("blur", 0.4)):
        assert abs(drawn.count(kind) / 300 - share) < 0.09


def test_noise_is_normal_with_a_uniform_deviation():
    rng, grey = np.random.default_rng(0), np.full((40, 40, 3), 128, np.float32)
    deviations, shapes = [], []
    for _ in range(300):
        noise = T.RandomNoise(1, max_sigma=20)(sample(grey, grey[..., 0].astype(np.uint8)), rng)["img"] - 128
        assert noise.dtype == np.float32
        assert abs(noise.mean()) < 5 * noise.std() / 4800**0.5
        deviations.append(noise.std())
        shapes.append(((noise / noise.std()) ** 4).mean())
    assert uniform_distance(np.array(deviations).clip(0, 20), 0, 20) < 1.95
    assert abs(np.mean(shapes) - 3) < 0.05


def test_noise_stays_in_range_and_does_not_change_its_argument():
    for value in (0, 255):
        image = np.full((9, 9, 3), value, np.uint8)
        data = T.RandomNoise(1, 100)(sample(image, image[..., 0]), np.random.default_rng(1))
        assert data["img"].dtype == np.float32
        assert data["img"].min() >= 0
        assert data["img"].max() <= 255
        assert data["img"].std() > 1
        assert (image == value).all()
