import json
from pathlib import Path

import numpy as np
import pytest

from paddleseg import transforms as T
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"
ARRAYS = np.load(GOLDEN / "transforms.npz")
NAMES = [name for name in T.__all__ if name != "Compose"]
CASES = [case for case in json.loads((GOLDEN / "transforms.json").read_text()) if case["type"] in NAMES]


def sample(image=None, mask=None):
    image = ARRAYS["image"] if image is None else image
    return {
        "img": image.copy(),
        "label": (ARRAYS["mask"] if mask is None else mask).copy(),
        "gt_fields": ["label"],
        "trans_info": [],
    }


def coordinates(height, width):
    """An image whose pixels tell where they came from, and a mask that says the same."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return sample(np.dstack([x, y, x + y]), x + y)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['index']}-{case['type']}")
def test_golden(case):
    got = manager.TRANSFORMS[case["type"]](**case["params"])(sample(), np.random.default_rng(0))
    expected, label = ARRAYS[f"{case['index']}_img"], ARRAYS[f"{case['index']}_label"]
    assert got["img"].dtype == expected.dtype
    tolerance = 1e-6 if expected.dtype == np.float32 else 0
    np.testing.assert_allclose(got["img"], expected, rtol=tolerance, atol=tolerance)
    assert got["label"].dtype == label.dtype
    np.testing.assert_array_equal(got["label"], label)


def test_goldens_cover_every_transform_but_the_random_colours():
    assert {case["type"] for case in CASES} == set(NAMES) - {"RandomDistort"}


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_result(name):
    transform = manager.TRANSFORMS[name]()
    first = transform(sample(), np.random.default_rng(11))
    second = transform(sample(), np.random.default_rng(11))
    np.testing.assert_array_equal(first["img"], second["img"])
    np.testing.assert_array_equal(first["label"], second["label"])


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


def test_flip_mirrors_image_and_mask_half_of_the_time():
    rng = np.random.default_rng(0)
    flipped = 0
    for _ in range(400):
        data = T.RandomHorizontalFlip()(coordinates(3, 5), rng)
        np.testing.assert_array_equal(data["img"][..., 2], data["label"])
        flipped += data["img"][0, 0, 0] == 4
    assert 160 < flipped < 240


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


def test_distort_changes_nothing_when_told_so():
    off = {f"{name}_prob": 0 for name in ("brightness", "contrast", "saturation", "hue", "sharpness")}
    data = T.RandomDistort(**off)(sample())
    assert data["img"].dtype == np.float32
    np.testing.assert_array_equal(data["img"], ARRAYS["image"])
    still = {key.replace("prob", "range"): 0 for key in off}
    data = T.RandomDistort(**still, **dict.fromkeys(off, 1))(sample())
    np.testing.assert_allclose(data["img"], ARRAYS["image"], atol=0.05)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue", "sharpness"])
def test_distort_each_change_has_its_own_chance(name):
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


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("Resize", {"target_size": 5}, "target_size"),
        ("Resize", {"target_size": [5, 0]}, "target_size"),
        ("Resize", {"interp": "BILINEAR"}, "interp must be one of NEAREST, LINEAR"),
        ("Resize", {"size_divisor": 0}, "size_divisor"),
        ("ResizeStepScaling", {"min_scale_factor": 2}, "ascending"),
        ("ResizeStepScaling", {"scale_step_size": -1}, "scale_step_size"),
        ("RandomHorizontalFlip", {"prob": 1.5}, "prob must lie in 0..1"),
        ("RandomPaddingCrop", {"crop_size": [1, 2, 3]}, "crop_size"),
        ("RandomPaddingCrop", {"category_max_ratio": 0}, "category_max_ratio"),
        ("RandomPaddingCrop", {"loop_times": 0}, "loop_times"),
        ("RandomDistort", {"hue_prob": -1}, "hue_prob"),
        ("RandomDistort", {"contrast_range": -1}, "contrast_range"),
        ("Normalize", {"mean": 0.5}, "mean must be a list"),
        ("Normalize", {"std": [1, 0, 1]}, "std must hold no 0"),
    ],
)
def test_bad_arguments_are_named(name, params, message):
    with pytest.raises(UserError, match=f"^{name}: .*{message}"):
        manager.TRANSFORMS[name](**params)
