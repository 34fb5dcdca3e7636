"""The area under the ROC curve, from counts of pixels by score that add up over batches and ranks."""

import numpy as np
import paddle
import paddle.nn.functional as F

# Bins of equal width of the log-odds in [-LIMIT, LIMIT]; in probability they are finest near 0 and 1.
BINS = 8192
LIMIT = 32.0


def score_counts(logits, label, num_classes, ignore_index=255):
    """Count for each class the pixels inside and outside of it by their score.

    The score is the log-odds of the class, log(p / (1 - p)) of its softmax probability p; it ranks as p does.
    Does not wait for the device.

    Args:
        logits: float N x C x H x W.
        label: true classes, int64 N x H x W, in 0..C-1 or `ignore_index`.
        num_classes: C.
        ignore_index: the label of pixels that are not counted. Default 255.

    Returns:
        C x 2 x `BINS` int64 tensor: for each class the pixels outside ([0]) and inside ([1]) in each bin.
    """
    log_p = F.log_softmax(logits.astype("float32"), axis=1)
    counted = (label != ignore_index).astype("int64").flatten()
    by_class = []
    for c in range(num_classes):  # one at a time, to save memory
        # Near p = 1 this form of log(1 - p) is exact enough; float32 ends there at log-odds of 16.
        odds = log_p[:, c] - paddle.log(paddle.clip(-paddle.expm1(log_p[:, c]), min=1e-7))
        bins = paddle.clip((odds + LIMIT) * (BINS / (2 * LIMIT)), 0, BINS - 1).astype("int64").flatten()
        index = (label == c).astype("int64").flatten() * BINS + bins
        counts = paddle.zeros([2 * BINS], dtype="int64")
        by_class.append(paddle.scatter_nd_add(counts, index.unsqueeze(1), counted).reshape([2, BINS]))
    return paddle.stack(by_class)


def auc_roc(counts):
    """Return the area under the ROC curve of `score_counts`, a float in 0..1.

    With two classes it is the area of class 1. With more it is the mean over the classes, each against the
    rest, as in PaddleSeg and in scikit-learn's `roc_auc_score(..., multi_class="ovr")`. Classes without
    pixels inside or outside are left out of the mean; if no class remains, the area is nan.

    Pixels in the same bin are ties, which count half. So the error is at most half the share of pairs (a
    pixel inside, a pixel outside) that are in the same bin.

    Args:
        counts: C x 2 x bins, tensor or array.
    """
    counts = np.asarray(counts).astype(np.float64)
    areas = [_area(outside, inside) for outside, inside in (counts[1:] if len(counts) == 2 else counts)]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else float("nan")


def _area(outside, inside):
    """Return the share of pairs in which the pixel inside has the higher score; None without pairs."""
    pairs = outside.sum() * inside.sum()
    below = np.cumsum(outside) - outside
    return (inside * (below + outside / 2)).sum() / pairs if pairs else None
