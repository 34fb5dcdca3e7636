"""Every transform against results and signatures of the released PaddleSeg 2.8.0."""

import inspect

import cv2
import numpy as np
import pytest
from transform_samples import ARRAYS, GOLDEN, Extreme, golden_cases, make, misplaced, sample
from transform_samples import drawn as drawn_sample

from paddleseg import transforms as T
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.transforms import functional as F

NAMES = [name for name in T.__all__ if name != "Compose"]
CASES = golden_cases("transforms.json")
RANDOM_CASES = golden_cases("random_transforms.json")
RANDOM_ARRAYS = np.load(GOLDEN / "random_transforms.npz")
SIGNATURES = golden_cases("signatures.json")["transforms"]
# They change no mask.
OF_COLOUR = {"Normalize", "RandomBlur", "RandomDistort", "RandomNoise"}
UNDOABLE = {name for name in NAMES if "Resize" in name} | {
    "LimitLong",
    "Padding",
    "PaddingByAspectRatio",
}


def identify(case):
    return f"{case['index']}-{case['type']}"


def assert_images_agree(got, expected):
    assert got.dtype == expected.dtype
    tolerance = 1e-6 if expected.dtype == np.float32 else 0
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_results_are_paddlesegs(case):
    got = make(case["type"], **case["params"])(sample(), np.random.default_rng(0))
    label = ARRAYS[f"{case['index']}_label"]
    assert_images_agree(got["img"], ARRAYS[f"{case['index']}_img"])
    assert got["label"].dtype == label.dtype
    if case["type"] == "ScalePadding":
        # PaddleSeg interpolates this one's mask; where no classes meet, that changes nothing.
        kernel = np.ones((5, 5), np.uint8)
        flat = cv2.dilate(got["label"], kernel) == cv2.erode(got["label"], kernel)
        assert flat.mean() > 0.2
        np.testing.assert_array_equal(got["label"][flat], label[flat])
        assert set(np.unique(got["label"])) <= set(np.unique(ARRAYS["mask"]))
    else:
        np.testing.assert_array_equal(got["label"], label)


@pytest.mark.parametrize("case", RANDOM_CASES, ids=lambda case: f"{identify(case)}-{case['draws']}")
def test_results_at_the_bounds_of_the_random_draws_are_paddlesegs(case):
    got = make(case["type"], **case["params"])(sample(), Extreme(case["draws"]))
    assert_images_agree(got["img"], RANDOM_ARRAYS[f"{case['index']}_img"])
    np.testing.assert_array_equal(got["label"], RANDOM_ARRAYS[f"{case['index']}_label"])


@pytest.mark.parametrize("side", [3, 5, 7, 9])
@pytest.mark.parametrize("kind", ["gaussian", "median", "blur"])
def test_blurs_are_paddlesegs(kind, side):
    expected = RANDOM_ARRAYS[f"blur_{kind}_{side}"]
    assert_images_agree(F.blur(ARRAYS["image"], kind, side), expected)


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_are_paddlesegs_in_name_order_and_default(name):
    """The same names, in the same order, with the same defaults, but those of the ignored label."""
    component = T.Compose if name == "Compose" else manager.TRANSFORMS[name]
    got = {}
    for parameter in inspect.signature(component).parameters.values():
        default = parameter.default
        required = default is inspect.Parameter.empty
        got[parameter.name] = "required" if required else list(default) if type(default) is tuple else default
    for of_config in {"label_padding_value", "ignore_index"}.intersection(SIGNATURES[name]):
        assert got[of_config] is None
        got[of_config] = 255  # in a config that states no ignore_index
    for more in {"img_range", "ignore_index"}.intersection(got) - set(SIGNATURES[name]):
        del got[more]
    assert list(got.items()) == list(SIGNATURES[name].items())


def test_every_transform_is_compared():
    assert set(NAMES) == set(SIGNATURES) - {"Compose"}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_result(name):
    transform = make(name)
    first = transform(sample(), np.random.default_rng(11))
    second = transform(sample(), np.random.default_rng(11))
    np.testing.assert_array_equal(first["img"], second["img"])
    np.testing.assert_array_equal(first["label"], second["label"])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_COLOUR])
def test_shapes_in_the_image_stay_where_they_are_in_the_mask(name):
    """Also at odd sizes, where halves must be rounded alike."""
    params = {"target_size": [140, 130]} if name == "Padding" else {}
    if "im_padding_value" in SIGNATURES[name]:
        params.update(im_padding_value=0, label_padding_value=0)
    rng = np.random.default_rng(5)
    for height, width in ((90, 120), (121, 85)):
        for _ in range(5):
            got = make(name, **params)(drawn_sample(height, width), rng)
            assert got["img"].shape[:2] == got["label"].shape
            assert got["label"].any()
            # Nearest neighbours lie up to half an enlarged pixel beside linear interpolation.
            assert misplaced(got, band=11 if "Resize" in name or "Scale" in name else 5) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_COLOUR])
def test_masks_of_wide_integers_keep_their_values(name):
    mask = ARRAYS["mask"].astype(np.int32)
    got = make(name)(sample(mask=mask * 1000), np.random.default_rng(3))["label"]
    narrow = make(name)(sample(), np.random.default_rng(3))["label"]
    assert got.dtype == np.int32
    padded = (got == 255) & (narrow == 255)
    np.testing.assert_array_equal(got[~padded], narrow[~padded].astype(np.int32) * 1000)


@pytest.mark.parametrize("name", [name for name in NAMES if "label_padding_value" in SIGNATURES[name]])
def test_masks_widen_for_an_ignored_index_that_is_no_byte(name):
    params = {"RandomPaddingCrop": {"crop_size": [60, 50]}, "RandomAffine": {"max_rotation": 40}}
    transform = make(name, label_padding_value=-1, **params.get(name, {}))
    got = transform(sample(), np.random.default_rng(4))["label"]
    assert got.dtype == np.int32
    assert (got == -1).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_label_outside_gt_fields_is_refused_by_transforms_that_cannot_be_undone(name):
    """An evaluation keeps its masks: what `trans_info` cannot undo has no place there."""
    data = {**sample(), "gt_fields": []}
    if name in OF_COLOUR | UNDOABLE:
        np.testing.assert_array_equal(make(name)(data)["label"], ARRAYS["mask"])
    else:
        with pytest.raises(UserError, match=f"gt_fields: {name} moves the image away from its mask"):
            make(name)(data)
    assert "label" not in make(name)({"img": ARRAYS["image"].copy()})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_COLOUR])
def test_a_mask_of_another_size_is_refused(name):
    with pytest.raises(UserError, match=f"^{name}: label must be as large as the image"):
        make(name)(sample(mask=ARRAYS["mask"][:-1]))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_COLOUR])
def test_grey_images_and_single_pixels(name):
    grey = ARRAYS["image"][..., 0]
    assert make(name)(sample(grey), np.random.default_rng(0))["img"].ndim == 2
    dot = sample(np.full((1, 1, 3), 9, np.float32), np.ones((1, 1), np.uint8))
    got = make(name)(dot, np.random.default_rng(0))
    assert got["img"].dtype == np.float32
    assert got["img"].shape[:2] == got["label"].shape
    assert min(got["label"].shape) >= 1


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("Resize", {"target_size": 5}, "target_size"),
        ("Resize", {"target_size": [5, 0]}, "target_size"),
        ("Resize", {"interp": "BILINEAR"}, "interp must be one of NEAREST, LINEAR"),
        ("Resize", {"size_divisor": 0}, "size_divisor"),
        ("ResizeByLong", {"long_size": 0}, "long_size"),
        ("ResizeByShort", {"short_size": []}, "short_size"),
        ("ResizeByShort", {"short_size": [5, -1]}, "short_size"),
        ("ResizeByShort", {"max_size": 0}, "max_size"),
        ("LimitLong", {"max_long": 0}, "max_long must be"),
        ("LimitLong", {"min_long": 2.5}, "min_long must be"),
        ("LimitLong", {"min_long": 9, "max_long": 8}, "min_long must not exceed"),
        ("ResizeRangeScaling", {"min_value": 700}, "ascending"),
        ("ResizeRangeScaling", {"min_value": 0}, "positive"),
        ("ResizeStepScaling", {"min_scale_factor": 2}, "ascending"),
        ("ResizeStepScaling", {"scale_step_size": -1}, "scale_step_size"),
        ("Padding", {"target_size": [5]}, "target_size"),
        ("PaddingByAspectRatio", {"aspect_ratio": 0}, "aspect_ratio"),
        ("ScalePadding", {"target_size": [0, 1]}, "target_size"),
        ("RandomHorizontalFlip", {"prob": 1.5}, "prob must lie in 0..1"),
        ("RandomVerticalFlip", {"prob": -1}, "prob must lie in 0..1"),
        ("RandomPaddingCrop", {"crop_size": [1, 2, 3]}, "crop_size"),
        ("RandomPaddingCrop", {"category_max_ratio": 0}, "category_max_ratio"),
        ("RandomPaddingCrop", {"loop_times": 0}, "loop_times"),
        ("RandomCenterCrop", {"retain_ratio": 0.5}, "retain_ratio"),
        ("RandomCenterCrop", {"retain_ratio": [0.5, 1.1]}, "retain_ratio"),
        ("RandomScaleAspect", {"min_scale": 2}, "min_scale"),
        ("RandomScaleAspect", {"aspect_ratio": 3}, "aspect_ratio"),
        ("RandomRotation", {"max_rotation": -1}, "max_rotation"),
        ("RandomAffine", {"size": [1]}, "size"),
        ("RandomAffine", {"max_rotation": -1}, "max_rotation"),
        ("RandomAffine", {"translation_offset": -1}, "translation_offset"),
        ("RandomAffine", {"min_scale_factor": 2}, "ascending"),
        ("RandomBlur", {"prob": 2}, "prob"),
        ("RandomBlur", {"blur_type": "box"}, "blur_type must be one of gaussian, median, blur, random"),
        ("RandomNoise", {"prob": 2}, "prob"),
        ("RandomNoise", {"max_sigma": -1}, "max_sigma"),
        ("RandomDistort", {"hue_prob": -1}, "hue_prob"),
        ("RandomDistort", {"contrast_range": -1}, "contrast_range"),
        ("Normalize", {"mean": 0.5}, "mean must be a list"),
        ("Normalize", {"std": [1, 0, 1]}, "std must hold no 0"),
    ],
)
def test_bad_arguments_are_named(name, params, message):
    with pytest.raises(UserError, match=f"^{name}: .*{message}"):
        make(name, **params)
