"""Which pixels hard-pixel mining keeps."""

import numpy as np
import pytest
from loss_reference import loss_and_gradient, tensor

from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, OhemCrossEntropyLoss

# The probability that each pixel of a row gives to its own class, which is 0; the last one is ignored.
PROBABILITIES = np.array([0.9, 0.1, 0.6, 0.8, 0.3, 0.7, 0.01])
LABEL = np.array([[[0, 0, 0, 0, 0, 0, 255]]])


def kept(loss):
    """Return which of the pixels the loss learns from, and its value."""
    logits = np.log(np.stack([PROBABILITIES, 1 - PROBABILITIES]))[None, :, None]
    value, gradient = loss_and_gradient(lambda x: loss(x, tensor(LABEL)), logits)
    return list(np.flatnonzero(gradient[0, 0, 0])), value


def mean_nll(*pixels):
    return -np.log(PROBABILITIES[list(pixels)]).mean()


@pytest.mark.parametrize(
    ("thresh", "min_kept", "pixels"),
    [
        (0.65, 0, [1, 2, 4]),
        (0.65, 2, [1, 2, 4]),
        (0.65, 4, [1, 2, 4, 5]),
        (0.2, 1, [1]),
        (0.05, 2, [1, 4]),
        (0.0, 3, [1, 2, 4]),
        (0.05, 0, []),
        (1.0, 0, [0, 1, 2, 3, 4, 5]),
        (0.05, 6, [0, 1, 2, 3, 4, 5]),
        (0.05, 7, [0, 1, 2, 3, 4, 5]),
        (0.05, 10000, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_ohem_keeps_those_below_the_threshold_and_the_hardest(thresh, min_kept, pixels):
    seen, value = kept(OhemCrossEntropyLoss(thresh, min_kept))
    assert seen == pixels
    assert value == pytest.approx(mean_nll(*pixels) if pixels else 0)


@pytest.mark.parametrize(
    ("fraction", "pixels"),
    [(0.99, [0, 1, 2, 3, 4, 5]), (0.45, [1, 2, 4]), (0.3, [1, 4]), (0.29, [1, 4]), (0.1, [1]), (1e-9, [1])],
)
def test_top_k_keeps_the_hardest_of_all_pixels(fraction, pixels):
    seen, value = kept(CrossEntropyLoss(top_k_percent_pixels=fraction))
    assert seen == pixels
    assert value == pytest.approx(mean_nll(*pixels))


def test_ignored_pixels_dilute_the_mean_where_they_count():
    _, value = kept(CrossEntropyLoss(top_k_percent_pixels=0.99, avg_non_ignore=False))
    assert value == pytest.approx(mean_nll(0, 1, 2, 3, 4, 5))  # 6 of 7 pixels, none of them ignored
    _, value = kept(CrossEntropyLoss(avg_non_ignore=False))
    assert value == pytest.approx(mean_nll(0, 1, 2, 3, 4, 5) * 6 / 7)


def test_top_k_ranks_by_the_weighted_loss():
    logits = tensor(np.log(np.array([[[0.5, 0.4, 0.3]], [[0.5, 0.6, 0.7]]]))[None])
    label = tensor(np.array([[[0, 1, 0]]]))
    value = CrossEntropyLoss(weight=[1.0, 4.0], top_k_percent_pixels=0.34)(logits, label)
    assert float(value) == pytest.approx(-np.log(0.6))  # 4 * 0.51 goes before 1.2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: OhemCrossEntropyLoss(thresh=1.1), "thresh must be a probability of 0 to 1, not 1.1"),
        (lambda: OhemCrossEntropyLoss(thresh=-0.1), "thresh must be a probability of 0 to 1"),
        (lambda: OhemCrossEntropyLoss(thresh=float("nan")), "thresh must be a probability of 0 to 1"),
        (lambda: OhemCrossEntropyLoss(min_kept=-1), "min_kept must be 0 or above, not -1"),
        (
            lambda: CrossEntropyLoss(top_k_percent_pixels=0),
            "a fraction above 0 and up to 1, so it cannot be 0",
        ),
        (lambda: CrossEntropyLoss(top_k_percent_pixels=20), "above 0 and up to 1, so it cannot be 20"),
    ],
)
def test_what_is_out_of_range_is_refused(make, told):
    with pytest.raises(UserError, match=told):
        make()
