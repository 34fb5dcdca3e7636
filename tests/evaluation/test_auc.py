"""The area under the ROC curve against scikit-learn's, which sorts every pixel's score."""

import numpy as np
import paddle
import pytest
from sklearn.metrics import roc_auc_score

from paddleseg.evaluation.auc import auc_roc, score_counts


def drawn(classes, shape=(2, 40, 50), skill=1.0, scale=1.0, seed=0):
    """Return logits N x C x H x W that know something of the labels N x H x W, and these."""
    rng = np.random.default_rng(seed)
    label = rng.choice(classes, shape, p=rng.dirichlet(np.full(classes, 3.0)))
    logits = rng.standard_normal((shape[0], classes, *shape[1:]))
    logits += skill * (label[:, None] == np.arange(classes)[:, None, None])
    return (scale * logits).astype("float32"), label


def reference(logits, label, ignored=255):
    """Return scikit-learn's area over softmax probabilities in float64."""
    logits = np.moveaxis(logits, 1, -1)[label != ignored].astype("float64")
    label = label[label != ignored]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return roc_auc_score(label, p[:, 1]) if p.shape[1] == 2 else roc_auc_score(label, p, multi_class="ovr")


def measured(logits, label, ignored=255):
    counts = score_counts(paddle.to_tensor(logits), paddle.to_tensor(label), logits.shape[1], ignored)
    return auc_roc(counts)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(("skill", "scale"), [(0.0, 1.0), (1.0, 1.0), (3.0, 0.1), (2.0, 5.0), (-1.0, 1.0)])
def test_the_area_is_scikit_learns(classes, skill, scale):
    logits, label = drawn(classes, skill=skill, scale=scale)
    counts = score_counts(paddle.to_tensor(logits), paddle.to_tensor(label), classes)
    error = abs(auc_roc(counts) - reference(logits, label))
    assert error < 1e-4
    outside, inside = np.moveaxis(counts.numpy().astype("float64"), 1, 0)
    tied = (outside * inside).sum(1) / outside.sum(1) / inside.sum(1)
    assert error <= tied.max() / 2 + 1e-7  # as is promised; what is left is float32's rounding


@pytest.mark.parametrize("ignored", [255, 0])
def test_ignored_pixels_do_not_count(ignored):
    logits, label = drawn(3, seed=1)
    where = np.random.default_rng(2).random(label.shape) < 0.3
    label = np.where(label == ignored, 1, label)
    label[where] = ignored
    if ignored == 255:
        assert measured(logits, label) == pytest.approx(reference(logits, label), abs=1e-4)
    else:  # then there is no class 0, and its area is left out
        valid = label != 0
        expected = [roc_auc_score(label[valid] == c, odds(logits, c)[valid]) for c in (1, 2)]
        assert measured(logits, label, 0) == pytest.approx(np.mean(expected), abs=1e-4)


def odds(logits, c):
    """Return the log-odds of class c, as a score."""
    others = np.delete(logits.astype("float64"), c, axis=1)
    return logits[:, c] - np.log(np.exp(others).sum(1))


def test_ties_count_half():
    logits = np.zeros((1, 2, 1, 4), "float32")
    logits[0, 1] = [0, 1, 1, 2]
    label = np.array([[[0, 0, 1, 1]]])
    assert measured(logits, label) == pytest.approx(0.875) == reference(logits, label)


@pytest.mark.parametrize(("higher", "area"), [(1, 1.0), (0, 0.0)])
def test_a_perfect_ranking_is_exact_for_any_logits(higher, area):
    label = np.random.default_rng(0).integers(0, 2, (1, 8, 8))
    logits = np.zeros((1, 2, 8, 8), "float32")
    logits[0, higher] = 500 * label[0]
    logits[0, 1 - higher] = 500 * (1 - label[0])
    assert measured(logits, label) == area


def test_an_undefined_area_is_nan():
    logits, label = drawn(2)
    for one in (np.zeros_like(label), np.full_like(label, 255)):
        assert np.isnan(measured(logits, one))


def test_counts_of_batches_add_up():
    logits, label = drawn(3, shape=(4, 9, 7))
    whole = score_counts(paddle.to_tensor(logits), paddle.to_tensor(label), 3)
    parts = [
        score_counts(paddle.to_tensor(a[None]), paddle.to_tensor(b[None]), 3) for a, b in zip(logits, label)
    ]
    assert (whole == sum(parts[1:], parts[0])).all()
    assert whole.sum().item() == 3 * label.size
