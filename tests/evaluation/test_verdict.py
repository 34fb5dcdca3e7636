"""The verdict on a method: its interval against resamples drawn one by one, and what it says."""

import numpy as np
import pytest

from paddleseg.evaluation.metrics import compute_scores
from paddleseg.evaluation.verdict import mean_iou, verdict

SEEDS, IMAGES, CLASSES = 3, 12, 4


def counts(share_right, seed, pixels=400):
    """Return S x N x C x C counts of predictions of which a share is right."""
    rng = np.random.default_rng(seed)
    wrong = (1 - share_right) / (CLASSES - 1)
    chances = np.full((CLASSES, CLASSES), wrong) + np.eye(CLASSES) * (share_right - wrong)
    truth = rng.multinomial(pixels, [0.4, 0.3, 0.2, 0.1], size=(SEEDS, IMAGES))
    return rng.multinomial(truth, chances)


def test_the_interval_is_that_of_resamples_drawn_one_by_one():
    method, plain = counts(0.85, 1), counts(0.8, 2)
    rng = np.random.default_rng(5)
    differences = []
    for _ in range(4000):
        seeds, images = rng.integers(0, SEEDS, SEEDS), rng.integers(0, IMAGES, IMAGES)
        scores = [
            np.mean([compute_scores(one[seed][images].sum(axis=0)).miou for seed in seeds])
            for one in (method, plain)
        ]
        differences.append(scores[0] - scores[1])
    low, high = np.percentile(differences, [2.5, 97.5])
    found = verdict(method, plain)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))
    assert found.low < found.difference < found.high


def test_the_word_is_that_of_the_interval():
    good, bad = counts(0.85, 1), counts(0.6, 2)
    assert verdict(good, bad).word == "better"
    assert verdict(bad, good).word == "worse"
    assert verdict(good, counts(0.85, 3)).word == "not shown"


def test_a_method_is_not_better_than_itself():
    same = counts(0.7, 4)
    found = verdict(same, same)
    assert (found.difference, found.low, found.high, found.word) == (0, 0, 0, "not shown")


def test_the_mean_iou_is_that_of_an_evaluation_and_counts_a_class_without_pixels_as_0():
    matrices = counts(0.7, 4)[0]
    matrices[:, 3] = matrices[:, :, 3] = 0
    expected = [compute_scores(matrix).miou for matrix in matrices]
    np.testing.assert_allclose(mean_iou(matrices.astype(float)), expected, rtol=1e-12)
