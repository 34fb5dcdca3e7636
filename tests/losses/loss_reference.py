"""What the tests of the losses share: their formulas' common part in float64 NumPy, and gradients."""

import numpy as np
import paddle

EXTREME = (-80.0, 80.0)


def log_softmax(x, axis):
    x = np.asarray(x, dtype=np.float64)
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def divergence(student, teacher, axis, temperature):
    """Return T^2 KL(teacher || student), summed over `axis`."""
    log_p, log_q = log_softmax(teacher / temperature, axis), log_softmax(student / temperature, axis)
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=axis)


def normal(shape, seed, scale=2.0):
    return (scale * np.random.RandomState(seed).randn(*shape)).astype("float32")


def extremes(shape, seed):
    return np.random.RandomState(seed).choice(EXTREME, size=shape).astype("float32")


def wave(shape, step, scale):
    """Return the input of the golden figures: scale * sin(step * k), k = 1, 2, ..."""
    return (scale * np.sin(step * np.arange(1, 1 + np.prod(shape)))).reshape(shape).astype("float32")


def tensor(array):
    return paddle.to_tensor(array)


def loss_and_gradient(loss, x):
    """Return loss(x) as a float and its gradient by backpropagation, as an array."""
    x = paddle.to_tensor(x, stop_gradient=False)
    value = loss(x)
    value.backward()
    return float(value), x.grad.numpy()


def central_differences(reference, x, step=1e-5):
    """Return the gradient of the float64 function `reference` at `x`."""
    x = np.asarray(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (reference(up) - reference(down)) / (2 * step)
    return gradient
