"""Area under the ROC curve from counts of pixels by score, which add up over batches and ranks."""

import numpy as np
import paddle
import paddle.nn.functional as F

# Equal bins of the log-odds in [-LIMIT, LIMIT]: finest, in probability, near 0 and 1, where most pixels are.
BINS = 8192
LIMIT = 32.0


def score_counts(logits, label, num_classes, ignore_index=255):
    """Count the pixels of and outside each class by the class's score.

    The score is the class's log-odds, log(p / (1 - p)) of its softmax probability p: it ranks as p does.
    Nothing here waits for the device.

    Args:
        logits: float N x C x H x W.
        label: true classes, int64 N x H x W, in 0..C-1 or `ignore_index`.
        num_classes: C.
        ignore_index: the label of pixels that are not counted. Default 255.

    Returns:
        C x 2 x `BINS` int64 tensor: for each class the pixels outside ([0]) and of it ([1]) in each bin.
    """
    log_p = F.log_softmax(logits.astype("float32"), axis=1)
    counted = (label != ignore_index).astype("int64").flatten()
    of_classes = []
    for c in range(num_classes):  # one by one, for memory
        # log(1 - p) as it is needed near p = 1; there float32 ends at log-odds of 16.
        odds = log_p[:, c] - paddle.log(paddle.clip(-paddle.expm1(log_p[:, c]), min=1e-7))
        bins = paddle.clip((odds + LIMIT) * (BINS / (2 * LIMIT)), 0, BINS - 1).astype("int64").flatten()
        place = (label == c).astype("int64").flatten() * BINS + bins
        counts = paddle.zeros([2 * BINS], dtype="int64")
        of_classes.append(paddle.scatter_nd_add(counts, place.unsqueeze(1), counted).reshape([2, BINS]))
    return paddle.stack(of_classes)


def auc_roc(counts):
    """Return the area under the ROC curve of `score_counts`, a float in 0..1.

    Of two classes it is that of class 1; of more, the mean of the areas of each class against the rest, as in
    PaddleSeg and as scikit-learn's `roc_auc_score(..., multi_class="ovr")`. A class that no counted pixel or
    every one has is left out of the mean; if that leaves none, the area is nan.

    Pixels in one bin count as tied, half a pair in the right order each, so that the error is at most half
    the share of pairs (pixel of the class, pixel outside) that fall into one bin.

    Args:
        counts: C x 2 x bins, tensor or array.
    """
    counts = np.asarray(counts).astype(np.float64)
    areas = [_area(outside, inside) for outside, inside in (counts[1:] if len(counts) == 2 else counts)]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else float("nan")


def _area(outside, inside):
    """Return the share of pairs in which the pixel of the class has the higher score; None without pairs."""
    pairs = outside.sum() * inside.sum()
    below = np.cumsum(outside) - outside
    return (inside * (below + outside / 2)).sum() / pairs if pairs else None
