"""What the formulas of the losses share, in float64 NumPy, and the inputs that the tests use."""

from fractions import Fraction

import numpy as np
import paddle


def normal(shape, seed, scale=2.0):
    return (scale * np.random.RandomState(seed).randn(*shape)).astype("float32")


def extremes(shape, seed):
    return np.random.RandomState(seed).choice((-80.0, 80.0), size=shape).astype("float32")


def wave(shape, step, scale):
    """Return the input of the golden figures: scale * sin(step * k), k = 1, 2, ..."""
    return (scale * np.sin(step * np.arange(1, 1 + np.prod(shape)))).reshape(shape).astype("float32")


def labels(shape, classes, seed=0, ignored=0.3):
    """Return a random label of that shape, with class 0 first and a share of 255."""
    random = np.random.RandomState(seed)
    label = random.randint(0, classes, shape)
    label[random.rand(*shape) < ignored] = 255
    label.flat[0] = 0
    return label


def tensor(array):
    return paddle.to_tensor(array)


def loss_and_gradient(loss, x):
    """Return loss(x) as a float and its gradient by backpropagation, as an array."""
    x = paddle.to_tensor(x, stop_gradient=False)
    value = loss(x)
    value.backward()
    return float(value), x.grad.numpy()


def central_differences(formula, x, step=1e-5):
    """Return the gradient of the float64 function `formula` at `x`."""
    x = np.asarray(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (formula(up) - formula(down)) / (2 * step)
    return gradient


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def log_softmax(x, axis):
    x = np.asarray(x, dtype=np.float64)
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def divergence(student, teacher, axis, temperature):
    """Return T^2 KL(teacher || student), summed over `axis`."""
    log_p, log_q = log_softmax(teacher / temperature, axis), log_softmax(student / temperature, axis)
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=axis)


def one_hot(label, classes):
    """Return N x C x ... of 0 and 1; an ignored label is 0 in every channel."""
    return np.stack([label == c for c in range(classes)], axis=1).astype(np.float64)


def valid_nll(logits, label, ignore_index):
    """Return -log softmax of the valid pixels' own classes, and these classes, as vectors."""
    rows = np.moveaxis(log_softmax(logits, 1), 1, -1).reshape(-1, logits.shape[1])
    flat = label.ravel()
    valid = flat != ignore_index
    return -rows[valid, flat[valid]], flat[valid]


def binary_targets(logits, label, ignore_index):
    """Return the valid logits and their targets of 0 or 1, as vectors."""
    channels = logits.shape[1]
    if label.shape == logits.shape:
        y = label
    else:
        y = one_hot(label, max(channels, 2))[:, -channels:]
        label = np.broadcast_to(label[:, None], logits.shape)
    valid = label != ignore_index
    return np.asarray(logits, dtype=np.float64)[valid], y[valid]


def valid_mask(features, label, ignore_index=255):
    """Return N x h x w (or N x ...), bool."""
    shape = (features.shape[0], *features.shape[2:])
    if label is None:
        return np.ones(shape, dtype=bool)
    return (label if label.shape == shape else nearest(label, *shape[1:])) != ignore_index


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


def batch_norm(x, state, name):
    mean, variance = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    scale, shift = (state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def state_of(loss):
    return {name: value.numpy() for name, value in loss.state_dict().items()}


# The probability that each pixel of a row gives to its own class, which is 0; the last one is ignored.
ROW = np.array([0.9, 0.1, 0.6, 0.8, 0.3, 0.7, 0.01])
ROW_LABEL = np.array([[[0, 0, 0, 0, 0, 0, 255]]])


def used_pixels(loss):
    """Return the pixels that the loss learns from, and its value."""
    logits = np.log(np.stack([ROW, 1 - ROW]))[None, :, None]
    value, gradient = loss_and_gradient(lambda x: loss(x, tensor(ROW_LABEL)), logits)
    return list(np.flatnonzero(gradient[0, 0, 0])), value


def mean_nll(*pixels):
    return -np.log(ROW[list(pixels)]).mean()
