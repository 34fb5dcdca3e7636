"""The task losses in float64 NumPy, each from its paper, by another road than the code where there is one.

Every one takes logits N x C x ..., a label N x ... and the parameters of the class of its name.
"""

import numpy as np
from loss_reference import log_softmax


def one_hot(label, classes):
    """Return N x C x ... of 0 and 1; an ignored label, being no class, is 0 throughout."""
    return np.stack([label == c for c in range(classes)], axis=1).astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def kept_nll(logits, label, ignore_index):
    """Return -log softmax of the kept pixels' own classes, and these classes, as vectors."""
    rows = np.moveaxis(log_softmax(logits, 1), 1, -1).reshape(-1, logits.shape[1])
    flat = label.ravel()
    kept = flat != ignore_index
    return -rows[kept, flat[kept]], flat[kept]


def cross_entropy(
    logits, label, weight=None, ignore_index=255, top_k_percent_pixels=1.0, avg_non_ignore=True
):
    nll, classes = kept_nll(logits, label, ignore_index)
    weights = np.ones(logits.shape[1]) if weight is None else np.asarray(weight, dtype=np.float64)
    loss, divisor = weights[classes] * nll, weights[classes]
    if not avg_non_ignore:
        ignored = label.size - nll.size
        loss, divisor = np.append(loss, np.zeros(ignored)), np.append(divisor, np.ones(ignored))
    if top_k_percent_pixels < 1:
        hardest = np.argsort(-loss)[: max(1, int(top_k_percent_pixels * label.size))]
        loss, divisor = loss[hardest], divisor[hardest]
    return loss.sum() / divisor.sum()


def ohem(logits, label, thresh=0.7, min_kept=10000, ignore_index=255):
    nll, _ = kept_nll(logits, label, ignore_index)
    hardest_first = np.sort(np.exp(-nll))
    number = max(min(min_kept, nll.size), np.count_nonzero(hardest_first <= thresh))
    return -np.log(hardest_first[:number]).mean() if number else 0.0


def dice(logits, label, weight=None, ignore_index=255, smooth=1.0):
    p, y = np.exp(log_softmax(logits, 1)), one_hot(label, logits.shape[1])
    total = 0.0
    for n in range(logits.shape[0]):
        kept = label[n] != ignore_index
        for c in range(logits.shape[1]):
            overlap, both = (p[n, c] * y[n, c])[kept].sum(), (p[n, c] + y[n, c])[kept].sum()
            coefficient = (2 * overlap + smooth) / (both + smooth) if both + smooth else 1.0
            total += (1 if weight is None else weight[c]) * (1 - coefficient)
    return total / (logits.shape[0] * logits.shape[1])


def lovasz(logits, label, ignore_index=255, classes="present"):
    """The extension as an integral: of the Jaccard loss of the pixels with an error of t or more, over t."""
    p, kept = np.exp(log_softmax(logits, 1)), label != ignore_index
    losses = []
    for c in range(logits.shape[1]) if isinstance(classes, str) else classes:
        y = label[kept] == c
        if classes == "present" and not y.any():
            continue
        errors = np.abs(y - p[:, c][kept])
        steps = np.unique(np.append(errors, 0.0))
        total = 0.0
        for low, high in zip(steps, steps[1:]):
            wrong = errors >= high
            total += (high - low) * wrong.sum() / (y | wrong).sum()
        losses.append(total)
    return np.mean(losses)


def targets_of(logits, label, ignore_index):
    """Return the kept logits and their targets of 0 or 1, as vectors."""
    channels = logits.shape[1]
    if label.shape == logits.shape:
        y = label
    else:
        y = one_hot(label, max(channels, 2))[:, -channels:]
        label = np.broadcast_to(label[:, None], logits.shape)
    kept = label != ignore_index
    return np.asarray(logits, dtype=np.float64)[kept], y[kept]


def focal(logits, label, alpha=0.25, gamma=2.0, ignore_index=255):
    x, y = targets_of(logits, label, ignore_index)
    q = np.where(y == 1, sigmoid(x), 1 - sigmoid(x))
    return (-np.where(y == 1, alpha, 1 - alpha) * (1 - q) ** gamma * np.log(q)).mean()


def multi_class_focal(logits, label, num_class=None, alpha=1.0, gamma=2.0, ignore_index=255):
    nll, _ = kept_nll(logits, label, ignore_index)
    return (alpha * (1 - np.exp(-nll)) ** gamma * nll).mean()


def bce(logits, label, weight=None, pos_weight=None, ignore_index=255):
    x, y = targets_of(logits, label, ignore_index)
    positive = y.mean()
    a = 2 * (1 - positive) if pos_weight == "dynamic" else pos_weight or 1.0
    loss = -a * y * np.log(sigmoid(x)) - (1 - y) * np.log(sigmoid(-x))
    if weight == "dynamic":
        loss *= np.where(y == 1, 2 * (1 - positive), 2 * positive)
    return loss.mean()


def rmi(
    logits,
    label,
    rmi_radius=3,
    rmi_pool_way=0,
    rmi_pool_size=3,
    rmi_pool_stride=3,
    ignore_index=255,
):
    counted = [n for n in range(len(label)) if (label[n] != ignore_index).any()]
    y = one_hot(label, logits.shape[1])
    p = sigmoid(logits) * (label != ignore_index)[:, None] + 1e-6
    total = 0.0
    for n in counted:
        for c in range(logits.shape[1]):
            Y, P = (
                regions(pooled(x[n, c], rmi_pool_way, rmi_pool_size, which), rmi_radius)
                for x, which in ((y, "nearest"), (p, "linear"))
            )
            ridge = 5e-4 * np.eye(rmi_radius**2)
            M = Y @ Y.T - (Y @ P.T) @ np.linalg.inv(P @ P.T + ridge) @ (Y @ P.T).T
            total += np.linalg.slogdet(M + ridge)[1] / (2 * rmi_radius**2)
    return total / len(counted)


def regions(x, radius):
    """Return the centred R x R neighbourhoods of H x W as R*R x positions."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (radius, radius))
    vectors = windows.reshape(-1, radius**2).T
    return vectors - vectors.mean(axis=1, keepdims=True)


def pooled(x, way, size, which):
    if size == 1:
        return x
    if way == 2:
        return resized(x, [length // size for length in x.shape], which)
    margin = size // 2
    padded = np.pad(x, margin, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::size, ::size]
    return (np.nanmax if way == 0 else np.nanmean)(windows, axis=(2, 3))


def resized(x, shape, which):
    """Return H x W at another size: the nearest by floors, or linear with the corners aligned."""
    for axis, new in enumerate(shape):
        old = x.shape[axis]
        if which == "nearest":
            x = np.take(x, np.arange(new) * old // new, axis=axis)
            continue
        at = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
        low = np.floor(at).astype(int)
        part = np.expand_dims(at - low, 1 - axis)
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, old - 1), axis) * part
    return x
