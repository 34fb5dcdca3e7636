"""Where the histogram of an activation is cut, so that 8 bits resolve its frequent values."""

import numpy as np

PERCENT = 99.99  # of the values that "percentile" covers
LEVELS = 256  # that 8 bits tell apart
LEAST, RANGES = 0.2, 81  # the shares of the whole range that "entropy" tries: LEAST to 1, in equal steps


def percentile(counts, low, high):
    """Return the ends between which `PERCENT` percent of the values lie, with an equal share beyond each.

    Args:
        counts: of the values in bins of equal width, int64.
        low, high: the ends of the histogram.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    share = np.cumsum(counts) / max(counts.sum(), 1)
    beyond = (100 - PERCENT) / 200
    first, last = np.searchsorted(share, [beyond, 1 - beyond])
    return float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])


def entropy(counts, low, high):
    """Return the ends of the range in which 8 bits lose the least information.

    The tried ranges are shares of the whole one. The loss is the Kullback-Leibler divergence from the
    histogram, with what lies beyond a range counted at its ends, to what `LEVELS` equal steps keep of it, as
    in the calibration of TensorRT (S. Migacz, "8-bit inference with TensorRT", GTC 2017). Zeros, which 8 bits
    hold exactly, weigh no more than the values beside them.

    Args:
        counts, low, high: as in `percentile`.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    counts = _without_peak_at_zero(counts.astype(np.float64), edges)
    windows = {}
    for share in np.linspace(LEAST, 1, RANGES):
        first = np.searchsorted(edges, low * share, "right") - 1 if low < 0 else 0
        last = np.searchsorted(edges, high * share) if high > 0 else len(counts)
        if last - first >= LEVELS:
            windows[_divergence(counts, first, last)] = first, last
    if not windows:
        return low, high
    first, last = windows[min(windows)]
    return float(edges[first]), float(edges[last])


def _without_peak_at_zero(counts, edges):
    zero = np.searchsorted(edges, 0, "right") - 1
    if 0 <= zero < len(counts):
        counts[zero] = min(counts[zero], counts[max(zero - 1, 0) : zero + 2].sum() - counts[zero])
    return counts


def _divergence(counts, first, last):
    """Return the Kullback-Leibler divergence of the bins first to last - 1 from their `LEVELS` steps."""
    inside = counts[first:last]
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    level = np.arange(len(inside)) * LEVELS // len(inside)
    filled = inside > 0
    # Each step spreads its count over those of its bins that hold a value.
    sums, bins = np.bincount(level, inside, LEVELS), np.bincount(level, filled, LEVELS)
    spread = np.where(filled, (sums / np.maximum(bins, 1))[level], 0)
    floor = 1e-9 * max(counts.sum(), 1)  # so that no logarithm is infinite
    p, q = clipped + floor, spread + floor
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())
