"""paddleseg/quantization/calibration.py and thresholds.py: ranges of activations."""

import numpy as np
import pytest
from onnx_models import float_file, image, run

from paddleseg.errors import UserError
from paddleseg.quantization import qdq, thresholds
from paddleseg.quantization.calibration import calibrate

pytest.importorskip("onnxruntime.quantization", reason="needs ml_dtypes below 0.5")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    qdq.folded(float_file(folder / "float.onnx"), folder / "folded.onnx")
    return folder / "folded.onnx"


def images():
    return (image(seed) for seed in range(3))


def test_minmax_is_the_least_and_the_largest_value(path):
    ranges = calibrate(path, images)
    assert sorted(ranges) == ["active", "logits", "normed", "x"]
    for name, of_image in {"x": lambda x: x, "logits": lambda x: run(path, x)}.items():
        values = np.concatenate([of_image(x) for x in images()])
        assert ranges[name] == pytest.approx((values.min(), values.max()))
    assert ranges["active"] == pytest.approx((0, ranges["normed"][1]))


def test_percentile_cuts_the_same_share_at_both_ends(path):
    values = np.random.default_rng(0).standard_normal(200_000)
    ends = values.min(), values.max()
    expected = np.percentile(values, [0.005, 99.995])
    found = thresholds.percentile(np.histogram(values, 2048, ends)[0], *ends)
    np.testing.assert_allclose(found, expected, atol=2 * np.ptp(values) / 2048)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_ranges_are_cut_from_the_histograms_of_all_images(path, method):
    values = np.concatenate([x.ravel() for x in images()])
    ends = float(values.min()), float(values.max())
    cut = getattr(thresholds, method)(np.histogram(values, 2048, ends)[0], *ends)
    assert calibrate(path, images, method)["x"] == pytest.approx(cut)


def test_entropy_cuts_a_rare_outlier_and_no_even_spread():
    rng = np.random.default_rng(0)
    counts, _ = np.histogram(np.append(rng.exponential(1, 100_000), 60), 2048, (0, 60))
    low, high = thresholds.entropy(counts, 0.0, 60.0)
    assert low == 0
    assert 10 < high < 30
    assert thresholds.entropy(np.full(2048, 50), -2.0, 6.0) == (-2.0, 6.0)
    # Zeros are exact in 8 bits: their number does not move the ends.
    counts[0] += 10_000_000
    assert thresholds.entropy(counts, 0.0, 60.0) == (low, high)


def test_an_activation_that_is_constant_has_a_range():
    counts = np.zeros(2048, np.int64)
    counts[1024] = 100
    for cut in (thresholds.entropy, thresholds.percentile):
        low, high = cut(counts, 0.0, 0.0)
        assert low == high == 0


def test_images_that_cannot_be_used_are_refused(path):
    with pytest.raises(UserError, match="there is no image to calibrate on"):
        calibrate(path, lambda: [])
    with pytest.raises(UserError, match=r"does not run on an input of 1 x 4 x 8 x 8"):
        calibrate(path, lambda: [np.zeros((1, 4, 8, 8), np.float32)])
    with pytest.raises(UserError, match="'x' is not finite on the images to calibrate on|'active' is not"):
        calibrate(path, lambda: [np.full((1, 3, 8, 8), np.inf, np.float32)])
