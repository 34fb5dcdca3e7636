import numpy as np
import pytest
from transform_samples import coordinates, sample, uniform_distance

from paddleseg import transforms as T


def test_resize_notes_the_size_before():
    data = T.Resize([20, 10])(sample())
    assert data["trans_info"] == [("resize", (37, 53))]
    assert data["img"].shape == (10, 20, 3)


def test_resize_leaves_masks_outside_gt_fields_alone():
    data = {**sample(), "gt_fields": []}
    assert T.Resize([20, 10])(data)["label"].shape == (37, 53)


def test_resize_random_interp_uses_several():
    rng = np.random.default_rng(0)
    seen = {T.Resize([9, 9], interp="RANDOM")(sample(), rng)["img"].tobytes() for _ in range(40)}
    assert len(seen) == 5


def test_step_scaling_draws_every_factor_and_no_other():
    rng = np.random.default_rng(0)
    image = np.zeros((100, 200, 3), np.uint8)
    transform = T.ResizeStepScaling(0.4, 0.7, 0.1)
    sizes = {transform(sample(image, image[..., 0]), rng)["img"].shape[:2] for _ in range(80)}
    assert sizes == {(40, 80), (50, 100), (60, 120), (70, 140)}
    sizes = {
        T.ResizeStepScaling(0.5, 2, 0)(sample(image, image[..., 0]), rng)["img"].shape for _ in range(20)
    }
    assert len(sizes) > 15


def sizes(transform, image, count, seed=0):
    """The (width, height) of `count` results."""
    rng = np.random.default_rng(seed)
    results = [transform(sample(image, image[..., 0]), rng)["img"].shape for _ in range(count)]
    return np.array(results)[:, 1::-1]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (T.ResizeByLong(106), (106, 74)),
        (T.ResizeByShort(74), (106, 74)),
        (T.ResizeByShort(74, max_size=53), (53, 37)),
        (T.LimitLong(max_long=53), (53, 37)),
        (T.LimitLong(max_long=80, min_long=10), (53, 37)),
        (T.LimitLong(), (53, 37)),
        (T.ResizeRangeScaling(106, 106), (106, 74)),
        (T.ResizeStepScaling(2, 2), (106, 74)),
    ],
)
@pytest.mark.parametrize("upright", [False, True])
def test_both_sides_keep_their_ratio_and_the_size_before_is_noted(transform, expected, upright):
    data = coordinates(37, 53) if not upright else coordinates(53, 37)
    before = data["label"].shape
    got = transform(data, np.random.default_rng(0))
    assert got["img"].shape[1::-1] == (expected[::-1] if upright else expected)
    assert got["trans_info"] == [("resize", before)]


def test_short_size_limited_for_one_image_is_not_for_the_next():
    transform = T.ResizeByShort(20, max_size=40)
    long, square = np.zeros((10, 40, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    assert sizes(transform, long, 1).tolist() == [[40, 10]]
    assert sizes(transform, square, 1).tolist() == [[20, 20]]


def test_short_size_is_drawn_from_a_list_each_time():
    seen, counts = np.unique(
        sizes(T.ResizeByShort([20, 30, 40]), np.zeros((10, 20, 3), np.uint8), 600)[:, 1], return_counts=True
    )
    assert seen.tolist() == [20, 30, 40]
    # Each 200 on average, with a standard deviation of 11.5.
    assert (np.abs(counts - 200) < 46).all()


def test_range_scaling_is_uniform():
    long, short = sizes(T.ResizeRangeScaling(100, 300), np.zeros((20, 40, 3), np.uint8), 500).T
    assert (long.min(), long.max()) >= (100, 290)
    assert long.max() <= 300
    assert uniform_distance(long, 99.5, 300.5) < 1.95
    assert np.abs(short - long / 2).max() <= 0.5


def test_step_scaling_without_steps_is_uniform():
    wide = np.zeros((1, 1000, 3), np.uint8)
    factors = sizes(T.ResizeStepScaling(0.5, 2, 0), wide, 500)[:, 0] / 1000
    assert uniform_distance(factors, 0.5, 2) < 1.95
