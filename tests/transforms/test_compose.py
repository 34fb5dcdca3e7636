from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transform_samples import ARRAYS

from paddleseg.errors import UserError
from paddleseg.transforms import Compose, Normalize, RandomHorizontalFlip, Resize


@pytest.mark.parametrize("given", ["str", "path", "array"])
def test_golden_from_files_and_arrays(files, given):
    if given == "path":
        files.update(img=Path(files["img"]), label=Path(files["label"]))
    if given == "array":
        files.update(img=ARRAYS["image"], label=ARRAYS["mask"])
    got = Compose([Resize([32, 32]), Normalize()])(files)
    assert got["img"].dtype == np.float32
    np.testing.assert_allclose(got["img"], ARRAYS["compose_img"], atol=1e-6)
    np.testing.assert_array_equal(got["label"], ARRAYS["compose_label"])
    assert got["trans_info"] == [("resize", (37, 53))]


def test_argument_is_left_as_it_was(files):
    before = {key: list(value) if isinstance(value, list) else value for key, value in files.items()}
    Compose([Resize([8, 8])])(files)
    assert files == before


def test_no_transforms_only_reads(files):
    got = Compose([])(files)
    np.testing.assert_array_equal(got["img"], ARRAYS["image"][..., ::-1].transpose(2, 0, 1))
    got = Compose([], to_rgb=False)(files)
    np.testing.assert_array_equal(got["img"], ARRAYS["image"].transpose(2, 0, 1))


def test_grey_images_have_one_channel(files):
    got = Compose([Resize([8, 6])], img_channels=1)(files)
    assert got["img"].shape == (1, 6, 8)
    with pytest.raises(UserError, match="img_channels is 3"):
        Compose([])({"img": np.zeros((4, 4), np.uint8)})


def test_masks_outside_gt_fields_keep_their_size(files):
    got = Compose([Resize([8, 6])])({**files, "gt_fields": []})
    assert got["img"].shape == (3, 6, 8)
    np.testing.assert_array_equal(got["label"], ARRAYS["mask"])


def test_own_transforms_with_and_without_a_generator(files):
    seen = []

    class Old:
        def __call__(self, data):
            seen.append(data["img"].shape)
            return data

    def new(data, rng):
        seen.append(rng.random())
        return data

    Compose([Old(), new, Old()])(files, np.random.default_rng(4))
    assert seen == [(37, 53, 3), np.random.default_rng(4).random(), (37, 53, 3)]


def test_randomness_comes_from_the_generator_or_from_numpys_state(files):
    compose = Compose([RandomHorizontalFlip()] * 3)
    results = {compose(files, np.random.default_rng(1))["img"].tobytes() for _ in range(5)}
    assert len(results) == 1
    results = set()
    for _ in range(3):
        np.random.seed(8)
        results.add(compose(files)["img"].tobytes())
    assert len(results) == 1
    results = {compose(files)["img"].tobytes() for _ in range(20)}
    assert len(results) == 2


def test_sizes_that_differ_are_named_with_their_files(files, tmp_path):
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(tmp_path / "small.png")
    files["label"] = str(tmp_path / "small.png")
    with pytest.raises(UserError, match=r"a\.png.*small\.png.*53 x 37.*7 x 9"):
        Compose([])(files)
    Compose([])({**files, "gt_fields": []})


def test_transform_that_forgets_the_mask_is_named(files):
    def careless(data):
        return {**data, "img": data["img"][::2]}

    with pytest.raises(UserError, match=r"after careless.*53 x 19.*53 x 37"):
        Compose([careless])(files)


def test_transform_that_returns_nothing_is_named(files):
    def silent(data):
        data["img"] *= 2

    with pytest.raises(UserError, match="silent must return the data dict, not None"):
        Compose([silent])(files)


def test_mask_arrays_must_be_indices():
    with pytest.raises(UserError, match="one class index per pixel"):
        Compose([])({"img": ARRAYS["image"], "label": ARRAYS["image"]})


@pytest.mark.parametrize("transforms", [None, Resize(), [{"type": "Resize"}]])
def test_transforms_must_be_a_list_of_callables(transforms):
    with pytest.raises(UserError, match="transforms must be a list"):
        Compose(transforms)


def test_channels_are_checked():
    for channels in (0, -1, 1000, 2.0):
        with pytest.raises(UserError, match="img_channels must be a whole number in 1..512"):
            Compose([], img_channels=channels)
    with pytest.raises(UserError, match="img is .*3.*, but img_channels is 4"):
        Compose([], img_channels=4)({"img": ARRAYS["image"]})
