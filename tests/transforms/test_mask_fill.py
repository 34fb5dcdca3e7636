"""What padded and rotated masks are filled with."""

import numpy as np
import pytest
from transform_samples import PHOTO

from paddleseg import transforms as T
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose

FILLING = {
    "Padding": {"target_size": [60, 60]},
    "PaddingByAspectRatio": {"aspect_ratio": 2},
    "ScalePadding": {},
    "RandomPaddingCrop": {"crop_size": [60, 60]},
    "RandomRotation": {"max_rotation": 40},
    "RandomAffine": {"size": [64, 64], "min_scale_factor": 0.5, "max_scale_factor": 0.6},
}
MASK = np.full(PHOTO.shape[:2], 1, np.uint8)


def filled(name, compose=None, **more):
    """Return the values of a mask of ones after a transform."""
    transform = manager.TRANSFORMS[name](**FILLING[name], **more)
    data = {"img": PHOTO.copy(), "label": MASK.copy(), "gt_fields": ["label"], "trans_info": []}
    chain = transform if compose is None else Compose([transform], **compose)
    return set(np.unique(chain(data, np.random.default_rng(2))["label"]).tolist())


def test_every_transform_that_fills_is_tried():
    fills = {n for n in T.__all__ if n != "Compose" and hasattr(_made(n), "label_padding_value")}
    assert fills == set(FILLING)


def _made(name):
    needed = {"ResizeByLong": {"long_size": 5}, "ResizeByShort": {"short_size": 5}, **FILLING}
    return manager.TRANSFORMS[name](**needed.get(name, {}))


@pytest.mark.parametrize("name", FILLING)
def test_it_is_the_label_that_is_ignored_unless_the_transform_says_another(name):
    assert filled(name) == filled(name, {}) == {1, 255}
    assert filled(name, {"ignore_index": 0}) == {0, 1}
    assert filled(name, {"ignore_index": -1}) == {-1, 1}
    assert filled(name, {"ignore_index": 0}, label_padding_value=7) == {1, 7}
    assert filled(name, label_padding_value=7) == {1, 7}


def test_a_transform_may_serve_two_data_sets():
    padding = T.Padding([60, 60])
    for ignored in (0, 9, 0):
        data = {"img": PHOTO, "label": MASK, "gt_fields": ["label"]}
        assert set(np.unique(Compose([padding], ignore_index=ignored)(data)["label"])) == {ignored, 1}


def test_a_crop_that_is_balanced_does_not_count_the_ignored_label():
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 1
    image = np.zeros((40, 40, 3), np.uint8)
    crop = T.RandomPaddingCrop([10, 10], category_max_ratio=0.75, loop_times=200)
    for ignored, balanced in ((255, True), (0, False)):
        shares = [
            (
                Compose([crop], ignore_index=ignored)(
                    {"img": image, "label": mask, "gt_fields": ["label"]}, np.random.default_rng(seed)
                )["label"]
                == 1
            ).mean()
            for seed in range(10)
        ]
        assert all(0.25 < share < 0.75 for share in shares) is balanced
