"""The boundary IoU against SciPy's erosion, one mask at a time."""

import numpy as np
import paddle
import pytest
from scipy import ndimage

from paddleseg.evaluation.boundary import boundary_areas


def reference(pred, label, num_classes, ignored=255):
    """Return C x 2: intersections and unions of the boundaries, as Cheng et al. define them."""
    areas = np.zeros((num_classes, 2), int)
    distance = max(int(round(0.02 * np.sqrt(pred.shape[1] ** 2 + pred.shape[2] ** 2))), 1)
    for p, t in zip(pred, label):
        for c in range(num_classes):
            near = []
            for mask in (p, t):
                of_class = (mask == c) & (t != ignored)
                inner = ndimage.binary_erosion(of_class, np.ones((3, 3)), distance, border_value=0)
                near.append(of_class & ~inner)
            areas[c] += (near[0] & near[1]).sum(), (near[0] | near[1]).sum()
    return areas


def blobs(n, height, width, num_classes, seed):
    """Return masks of smooth regions, N x H x W."""
    noise = np.random.default_rng(seed).standard_normal((num_classes, n, height, width))
    return ndimage.gaussian_filter(noise, (0, 0, 4, 4)).argmax(0)


@pytest.mark.parametrize(
    ("n", "height", "width", "num_classes"),
    [(1, 30, 40, 2), (3, 61, 47, 3), (1, 150, 200, 4), (2, 1, 9, 2), (1, 300, 20, 1), (1, 1, 1, 1)],
)
def test_areas_are_those_of_erosion(n, height, width, num_classes):
    pred, label = (blobs(n, height, width, num_classes, seed) for seed in (0, 1))
    label = np.where(np.random.default_rng(2).random(label.shape) < 0.01, 255, label)
    got = boundary_areas(paddle.to_tensor(pred), paddle.to_tensor(label), num_classes)
    np.testing.assert_array_equal(got.numpy(), reference(pred, label, num_classes))


def test_an_absent_class_and_ignored_pixels_have_no_boundary():
    pred, label = np.ones((1, 20, 20), int), np.full((1, 20, 20), 7)
    areas = boundary_areas(paddle.to_tensor(pred), paddle.to_tensor(label), 3, ignore_index=7)
    assert (areas.numpy() == 0).all()
    label[:] = 1
    areas = boundary_areas(paddle.to_tensor(pred), paddle.to_tensor(label), 3).numpy()
    assert areas.tolist() == [[0, 0], [76, 76], [0, 0]]  # the image's border is a contour


def test_the_boundary_shows_what_the_whole_mask_hides():
    rows, columns = np.mgrid[:200, :200]
    disc = [(np.hypot(rows - 100, columns - 100) < radius)[None].astype(int) for radius in (80, 83)]
    inside, union = boundary_areas(*map(paddle.to_tensor, disc), 2).numpy()[1]
    iou = disc[0].sum() / disc[1].sum()
    assert iou > 0.9
    assert inside / union < 0.45
