import numpy as np
from transform_samples import coordinates, sample, uniform_distance

from paddleseg import transforms as T


def test_crop_keeps_image_and_mask_together_and_reaches_every_place():
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(200):
        data = T.RandomPaddingCrop([3, 2])(coordinates(4, 5), rng)
        assert data["img"].shape == (2, 3, 3)
        np.testing.assert_array_equal(data["img"][..., 2], data["label"])
        corners.add(tuple(data["img"][0, 0, :2].tolist()))
    assert corners == {(x, y) for x in range(3) for y in range(3)}


def test_crop_pads_one_side_and_cuts_the_other():
    data = T.RandomPaddingCrop([8, 2], im_padding_value=7, label_padding_value=9)(coordinates(4, 5))
    assert data["img"].shape == (2, 8, 3)
    assert (data["img"][:, 5:] == 7).all()
    assert (data["label"][:, 5:] == 9).all()
    np.testing.assert_array_equal(data["img"][:, :5, 2], data["label"][:, :5])


def test_crop_looks_for_a_second_class():
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 1
    mask[:5] = 255
    image = np.repeat(mask[..., np.newaxis], 3, axis=2)
    rng = np.random.default_rng(0)
    transform = T.RandomPaddingCrop([10, 10], category_max_ratio=0.75, loop_times=200)
    for _ in range(20):
        data = transform(sample(image, mask), rng)
        np.testing.assert_array_equal(data["img"][..., 0], data["label"])
        share = (data["label"] == 1).sum() / (data["label"] != 255).sum()
        assert 0.25 < share < 0.75


def test_crop_gives_up_after_loop_times():
    data = T.RandomPaddingCrop([2, 2], category_max_ratio=0.5, loop_times=3)(
        sample(np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), np.uint8))
    )
    assert data["img"].shape == (2, 2, 3)


def corners_and_sizes(transform, height, width, count):
    """(left, top, width, height) of `count` cuts of `coordinates`, each whole and with its mask."""
    rng, cuts = np.random.default_rng(0), []
    for _ in range(count):
        data = transform(coordinates(height, width), rng)
        np.testing.assert_array_equal(data["img"][..., 2], data["label"])
        (left, top), (right, bottom) = data["img"][0, 0, :2].tolist(), data["img"][-1, -1, :2].tolist()
        assert data["label"].shape == (bottom - top + 1, right - left + 1)
        cuts.append((left, top, right - left + 1, bottom - top + 1))
    return np.array(cuts)


def test_center_crop_reaches_every_size_and_place_alike():
    left, top, width, height = corners_and_sizes(T.RandomCenterCrop([0.6, 0.5]), 12, 100, 600).T
    assert (width.min(), width.max(), height.min(), height.max()) == (60, 100, 6, 12)
    assert uniform_distance(width + np.linspace(-0.5, 0.5, 600), 59.5, 100.5) < 1.95
    # As much is cut on the left as on the right, and at the top as at the bottom.
    for offset, gone in ((left, 100 - width), (top, 12 - height)):
        assert ((offset >= 0) & (offset <= gone)).all()
        some = gone > 0
        assert abs((offset[some] / gone[some]).mean() - 0.5) < 0.06
        assert (offset[some] == gone[some]).any()


def test_center_crop_may_cut_one_side_alone():
    left, top, width, height = corners_and_sizes(T.RandomCenterCrop([1, 0.9]), 10, 8, 60).T
    assert set(left) == {0}
    assert set(width) == {8}
    # 10 * (1 - 0.9) is a little less than 1 in floating point.
    assert set(height) == {9, 10}
    assert set(top) == {0, 1}


def test_center_crop_leaves_at_least_one_pixel():
    assert corners_and_sizes(T.RandomCenterCrop([0, 0]), 3, 4, 60)[:, 2:].min() == 1


def scale_aspect_cuts(transform, side, count):
    """The left, top, width and height, an array each, of `count` parts of a square that fill it."""
    rng, cuts = np.random.default_rng(0), []
    for _ in range(count):
        data = transform(coordinates(side, side), rng)
        assert data["img"].shape == (side, side, 3)
        (left, top), (right, bottom) = data["img"][0, 0, :2].astype(int), data["img"][-1, -1, :2].astype(int)
        cuts.append((left, top, right - left + 1, bottom - top + 1))
    return np.array(cuts).T


def test_scale_aspect_cuts_the_areas_and_ratios_that_it_should():
    side = 200
    left, top, width, height = scale_aspect_cuts(T.RandomScaleAspect(0.25, 0.5), side, 300)
    area, ratio = width * height / side**2, width / height
    assert 0.24 < area.min() < 0.3
    assert 0.48 < ratio.min() < 0.6
    assert 1.7 < ratio.max() < 2.1
    assert 115 < (width > height).sum() < 185
    for offset, spare in ((left, side - width), (top, side - height)):
        some = spare > 10
        assert uniform_distance(offset[some] / spare[some], 0, 1) < 2.2
        assert (offset <= spare).all()


def test_scale_aspect_area_is_uniform_where_every_shape_fits():
    _, _, width, height = scale_aspect_cuts(T.RandomScaleAspect(0.2, 1.0), 200, 500)
    assert uniform_distance((width * height / 200**2).clip(0.2, 1), 0.2, 1) < 1.95


def test_scale_aspect_leaves_an_image_whole_if_it_is_off_or_no_shape_fits():
    for transform in (T.RandomScaleAspect(0), T.RandomScaleAspect(0.5, 0), T.RandomScaleAspect(1, 0.1)):
        data = transform(coordinates(2, 50), np.random.default_rng(0))
        np.testing.assert_array_equal(data["img"], coordinates(2, 50)["img"])
