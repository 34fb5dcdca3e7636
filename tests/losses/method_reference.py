"""The distillation methods in float64 NumPy, written from their formulas, one position after the other."""

from fractions import Fraction

import numpy as np
from loss_reference import divergence, log_softmax


def kept_pixels(features, label, ignore_index=255):
    """Return N x h x w, bool."""
    N, h, w = features.shape[0], *features.shape[2:]
    if label is None:
        return np.ones((N, h, w), dtype=bool)
    return nearest(label, h, w) != ignore_index


def nearest(label, h, w):
    rows = [int(Fraction(i * label.shape[1], h)) for i in range(h)]
    columns = [int(Fraction(j * label.shape[2], w)) for j in range(w)]
    return label[:, rows][:, :, columns]


def vectors(features):
    """Return the C-vector of every pixel: N x h x w x C, float64."""
    return np.moveaxis(np.asarray(features, dtype=np.float64), 1, -1)


def unit(v):
    length = np.sqrt((v**2).sum(axis=-1, keepdims=True))
    return v / np.where(length == 0, 1, length)


def dist(student, teacher, label=None, beta=1.0, gamma=1.0, temperature=1.0):
    kept = kept_pixels(student, label)
    if not kept.any():
        return 0.0
    P, Q = (np.exp(log_softmax(vectors(x)[kept] / temperature, 1)) for x in (student, teacher))
    rows = np.mean([pearson(p, q) for p, q in zip(P, Q)])
    columns = np.mean([pearson(p, q) for p, q in zip(P.T, Q.T)])
    return temperature**2 * (beta * (1 - rows) + gamma * (1 - columns))


def pearson(x, y):
    x, y = x - x.mean(), y - y.mean()
    return (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-8)


def pairwise(student, teacher, scale=0.5, norms_of=None):
    """`norms_of`: the features whose norms the student's are divided by, where these are held constant."""
    ours = pooled(student, scale)
    lengths = np.linalg.norm(ours if norms_of is None else pooled(norms_of, scale), axis=1) + 1e-8
    theirs = pooled(teacher, scale)
    A_s = affinity(ours, lengths)
    A_t = affinity(theirs, np.linalg.norm(theirs, axis=1) + 1e-8)
    N, P = A_s.shape[:2]
    return ((A_t - A_s) ** 2).sum() / P**2 / N


def pooled(features, scale):
    """Return N x C x P: the maxima of tiles of floor(H * scale) x floor(W * scale), the last ones cut off."""
    x = np.asarray(features, dtype=np.float64)
    H, W = x.shape[2:]
    kh, kw = max(1, int(H * scale)), max(1, int(W * scale))
    tiles = [
        x[:, :, i : i + kh, j : j + kw].max(axis=(2, 3)) for i in range(0, H, kh) for j in range(0, W, kw)
    ]
    return np.stack(tiles, axis=-1)


def affinity(x, lengths):
    x = x / lengths[:, None]
    return np.einsum("ncp,ncq->npq", x, x)


def ifvd(student, teacher, label, num_classes):
    label = nearest(label, *student.shape[2:])
    squares = []
    maps = [variation(vectors(x), label, num_classes) for x in (student, teacher)]
    for place in maps[0]:
        squares.append((maps[0][place] - maps[1][place]) ** 2)
    return np.mean(squares) if squares else 0.0


def variation(v, label, num_classes):
    """Return {place: cosine with the mean of its class in its image} of the pixels of a class."""
    cosines = {}
    for n, y, x in np.ndindex(*label.shape):
        if 0 <= label[n, y, x] < num_classes:
            mean = v[n][label[n] == label[n, y, x]].mean(axis=0)
            f = v[n, y, x]
            cosines[n, y, x] = f @ mean / max(np.linalg.norm(f) * np.linalg.norm(mean), 1e-8)
    return cosines


def attention_transfer(student, teacher, label=None, p=2.0):
    kept = kept_pixels(student, label)
    total = 0.0
    for n in range(len(student)):
        a, b = (unit((np.abs(vectors(x)[n][kept[n]]) ** p).mean(axis=1)) for x in (student, teacher))
        total += ((a - b) ** 2).sum()
    return total / max(kept.sum(), 1)


def fitnet(student, teacher, label=None):
    kept = kept_pixels(student, label)
    return ((vectors(student) - vectors(teacher))[kept] ** 2).mean() if kept.any() else 0.0


def mgd(student, teacher, label, state, mask, alpha):
    """`state`: the loss's parameters by name; `mask`: N x 1 x H x W, 1 where the student is seen."""
    x = np.asarray(student, dtype=np.float64)
    if "align.weight" in state:
        x = conv(x, state["align.weight"], state["align.bias"])
    x = conv(x * mask, state["generation.0.weight"], state["generation.0.bias"])
    x = conv(np.maximum(x, 0), state["generation.2.weight"], state["generation.2.bias"])
    error = ((x - teacher) ** 2).sum(axis=1)
    return alpha * error[kept_pixels(student, label)].sum() / len(x)


def conv(x, weight, bias=None):
    """Correlate N x C x H x W with O x C x K x K, padded so that the size stays."""
    pad = weight.shape[2] // 2
    H, W = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = sum(
        np.einsum("nchw,oc->nohw", x[:, :, i : i + H, j : j + W], weight[:, :, i, j].astype(np.float64))
        for i, j in np.ndindex(*weight.shape[2:])
    )
    return y if bias is None else y + bias[:, None, None]


def attnfd(student, teacher, state):
    x = cbam(np.asarray(student, dtype=np.float64), state)
    if "align.0.weight" in state:
        x = batch_norm(conv(x, state["align.0.weight"]), state, "align.1")
    y = np.asarray(teacher, dtype=np.float64)
    y = y * sigmoid(y.mean(axis=(2, 3)) + y.max(axis=(2, 3)))[:, :, None, None]
    y = y * sigmoid(y.max(axis=1) + y.mean(axis=1))[:, None]
    difference = unit(x.ravel()) - unit(y.ravel())
    return (difference**2).sum() / len(x)


def cbam(x, state):
    def mlp(v):
        hidden = np.maximum(v @ state["attention.mlp.0.weight"] + state["attention.mlp.0.bias"], 0)
        return hidden @ state["attention.mlp.2.weight"] + state["attention.mlp.2.bias"]

    x = x * sigmoid(mlp(x.mean(axis=(2, 3))) + mlp(x.max(axis=(2, 3))))[:, :, None, None]
    summary = np.stack([x.max(axis=1), x.mean(axis=1)], axis=1)
    spatial = conv(summary, state["attention.spatial.0.weight"])
    return x * sigmoid(batch_norm(spatial, state, "attention.spatial.1"))


def batch_norm(x, state, name):
    mean, variance = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    scale, shift = (state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cirkd_mini_batch(student, teacher, label=None, temperature=0.1):
    kept = kept_pixels(student, label)
    pairs = []
    for a, b in np.ndindex(len(student), len(student)):
        if kept[a].any() and kept[b].any():
            ours, theirs = (
                unit(vectors(x)[a][kept[a]]) @ unit(vectors(x)[b][kept[b]]).T / temperature
                for x in (student, teacher)
            )
            pairs.append(divergence(ours, theirs, 1, 1.0).mean())
    return np.mean(pairs) if pairs else 0.0


def cirkd_memory(student, teacher, memory, label=None, temperature=0.1, kd_temperature=1.0):
    kept = kept_pixels(student, label)
    if not kept.any():
        return 0.0
    ours, theirs = (unit(vectors(x)[kept]) @ memory.T / temperature for x in (student, teacher))
    return divergence(ours, theirs, 1, kd_temperature).mean()


def projection(student, state):
    x = conv(np.asarray(student, dtype=np.float64), state["projection.0.weight"])
    x = np.maximum(batch_norm(x, state, "projection.1"), 0)
    return conv(x, state["projection.3.weight"])
