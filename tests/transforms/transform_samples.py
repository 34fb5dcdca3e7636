"""Samples for the tests of the transforms, with pixels that show where they came from."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from paddleseg.cvlibs import manager

GOLDEN = Path(__file__).parents[1] / "golden"
ARRAYS = np.load(GOLDEN / "transforms.npz")
PHOTO = np.asarray(
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 7, 3), dtype=np.uint8)).resize(
        (42, 36), Image.BICUBIC
    )
)
# Arguments without a default.
NEEDED = {
    "ResizeByLong": {"long_size": 30},
    "ResizeByShort": {"short_size": [30, 20, 25]},
    "Padding": {"target_size": [60, 60]},
}


def golden_cases(name):
    return json.loads((GOLDEN / name).read_text())


def make(name, **params):
    return manager.TRANSFORMS[name](**{**NEEDED.get(name, {}), **params})


def sample(image=None, mask=None):
    image = ARRAYS["image"] if image is None else image
    return {
        "img": image.copy(),
        "label": (ARRAYS["mask"] if mask is None else mask).copy(),
        "gt_fields": ["label"],
        "trans_info": [],
    }


def coordinates(height, width):
    """An image whose pixels hold their coordinates x and y and the sum, and a mask with the sum."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return sample(np.dstack([x, y, x + y]), x + y)


def drawn(height=90, width=120):
    """A disc and a bar, bright on a dark image, 1 and 2 in the mask; background and padding are 0."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 3, height // 2), height // 4, 1, -1)
    cv2.rectangle(mask, (width * 2 // 3, height // 5), (width * 5 // 6, height * 4 // 5), 2, -1)
    return sample(np.dstack([(mask == 1) * 200, (mask == 2) * 200, (mask > 0) * 200]).astype(np.uint8), mask)


def misplaced(data, band=3):
    """The share of pixels where image and mask of `drawn` disagree, without edges of `band` pixels."""
    image, mask = data["img"], data["label"]
    kernel = np.ones((band, band), np.uint8)
    inner = cv2.dilate(mask, kernel) == cv2.erode(mask, kernel)
    expected = np.dstack([mask == 1, mask == 2, mask > 0])
    return ((image > 100) != expected)[inner].mean()


def uniform_distance(values, low, high):
    """The Kolmogorov-Smirnov distance of `values` from the uniform distribution, times sqrt(n).

    It exceeds 1.95 once in a thousand samples of that distribution.
    """
    share = (np.sort(values) - low) / (high - low)
    steps = np.arange(len(share) + 1) / len(share)
    return max(np.abs(share - steps[1:]).max(), np.abs(share - steps[:-1]).max()) * len(share) ** 0.5


class Extreme:
    """A generator whose every uniform draw is its bound."""

    def __init__(self, draws):
        self.highest = {"lowest": False, "highest": True}[draws]

    def uniform(self, low, high):
        return high if self.highest else low
