import cv2
import numpy as np
import pytest
from transform_samples import coordinates, drawn, sample, uniform_distance

from paddleseg import transforms as T
from paddleseg.transforms import functional as F


@pytest.mark.parametrize(
    ("transform", "corner"),
    [
        (T.RandomHorizontalFlip(), (4, 0)),
        (T.RandomHorizontalFlip(0.2), (4, 0)),
        (T.RandomVerticalFlip(), (0, 2)),
        (T.RandomVerticalFlip(0.7), (0, 2)),
    ],
)
def test_flips_mirror_image_and_mask_with_their_probability(transform, corner):
    rng, count = np.random.default_rng(0), 400
    flipped = 0
    for _ in range(count):
        data = transform(coordinates(3, 5), rng)
        np.testing.assert_array_equal(data["img"][..., 2], data["label"])
        first = tuple(data["img"][0, 0, :2].tolist())
        assert first in {(0, 0), corner}
        flipped += first == corner
    deviation = (count * transform.prob * (1 - transform.prob)) ** 0.5
    assert abs(flipped - count * transform.prob) < 3.3 * deviation


@pytest.mark.parametrize(("size", "angle", "turns"), [((6, 6), 90, 1), ((6, 6), -90, 3), ((8, 4), 180, 2)])
def test_quarter_turns_are_numpys(size, angle, turns):
    """About width // 2, the pixel right of and below the centre: even sizes move by a pixel and are cut."""
    image = coordinates(size[1], size[0])["img"]
    matrix, turned = F.rotation(size, angle)
    got = F.warp(image, matrix, turned, "NEAREST", 255)
    expected = np.rot90(image, turns)
    assert got.shape == expected.shape
    found = [
        np.array_equal(got[max(dy, 0) :, max(dx, 0) :], expected[: len(got) - dy, : got.shape[1] - dx])
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    assert any(found)


def test_rotation_shows_the_whole_image():
    white = sample(np.full((31, 60), 255, np.uint8), np.ones((31, 60), np.uint8))
    for seed in range(10):
        got = T.RandomRotation(180, im_padding_value=0, label_padding_value=0)(
            {**white}, np.random.default_rng(seed)
        )
        assert got["img"].astype(float).sum() / 255 == pytest.approx(31 * 60, rel=0.03)
        assert (got["label"] == 1).sum() == pytest.approx(31 * 60, rel=0.03)


def angle_of(mask):
    """The direction of a bar, in degrees to the left, between -90 and 90."""
    y, x = np.nonzero(mask == 1)
    moments = np.cov(x, -y)
    return np.degrees(0.5 * np.arctan2(2 * moments[0, 1], moments[0, 0] - moments[1, 1]))


def bar():
    mask = np.zeros((81, 81), np.uint8)
    mask[38:43, 8:73] = 1
    return sample(mask * 200, mask)


@pytest.mark.parametrize("transform", [T.RandomRotation(40), T.RandomAffine([81, 81], max_rotation=40)])
def test_angles_are_uniform(transform):
    rng = np.random.default_rng(0)
    angles = np.array([angle_of(transform(bar(), rng)["label"]) for _ in range(300)])
    assert np.abs(angles).max() < 41
    assert uniform_distance(np.clip(angles, -40, 40), -40, 40) < 1.95


def test_no_rotation_changes_nothing():
    for data in (coordinates(4, 5), coordinates(5, 4)):
        got = T.RandomRotation(0)({**data})
        np.testing.assert_array_equal(got["img"], data["img"])
        np.testing.assert_array_equal(got["label"], data["label"])


def square():
    mask = np.zeros((101, 101), np.uint8)
    cv2.rectangle(mask, (40, 40), (60, 60), 1, -1)
    return sample(mask * 200, mask)


def affine(count=300, **params):
    """The centre (x, y) and the side of the square of `count` results of 101 x 101."""
    still = {"max_rotation": 0, "min_scale_factor": 1, "max_scale_factor": 1, **params}
    transform, rng = T.RandomAffine([101, 101], **still), np.random.default_rng(0)
    found = [np.nonzero(transform(square(), rng)["label"] == 1) for _ in range(count)]
    return np.array([(x.mean(), y.mean(), len(x) ** 0.5) for y, x in found]).T


def test_affine_scales_are_uniform():
    x, y, side = affine(min_scale_factor=0.5, max_scale_factor=2)
    assert np.abs(x - 50.5).max() <= 1
    assert np.abs(y - 50.5).max() <= 1
    scale = side / 21
    assert 0.45 < scale.min() < 0.6
    assert 1.9 < scale.max() < 2.1
    # A square's side is a whole number of pixels.
    spread = np.random.default_rng(1).uniform(-0.5, 0.5, len(side))
    assert uniform_distance((side + spread).clip(10.5, 42.4) / 21.2, 0.5, 2) < 1.95


def test_affine_shifts_are_uniform_in_either_direction():
    x, y, side = affine(translation_offset=20)
    assert side.std() < 0.7
    for place in (x, y):
        assert np.abs(place - 50.5).max() <= 21
        assert uniform_distance((place - 50.5).clip(-20, 20), -20, 20) < 1.95
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_affine_fits_the_size_and_fills_around():
    transform = T.RandomAffine([40, 60], 0, 0, 1, 1, im_padding_value=9, label_padding_value=8)
    got = transform(sample(np.full((101, 101, 3), 200, np.uint8), np.ones((101, 101), np.uint8)))
    assert got["img"].shape == (60, 40, 3)
    # (40 / 100 + 60 / 100) / 2 = 0.5, so that 101 pixels cover 50 of the 60 rows and all columns.
    assert (got["img"][[0, 1, 2, 57, 58, 59]] == 9).all()
    assert (got["label"][[0, 1, 2, 57, 58, 59]] == 8).all()
    assert (got["label"][8:-8] == 1).all()


def test_affine_gives_floats_the_values_of_bytes():
    narrow, wide = drawn(), drawn()
    wide["img"] = wide["img"].astype(np.float32)
    narrow, wide = (T.RandomAffine([50, 60])(data, np.random.default_rng(2)) for data in (narrow, wide))
    assert wide["img"].dtype == np.float32
    np.testing.assert_array_equal(wide["img"], narrow["img"])
