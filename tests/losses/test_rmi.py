import numpy as np
import paddle
import pytest
from loss_reference import normal, one_hot, sigmoid, tensor
from loss_tests import TaskLossTests

from paddleseg.errors import UserError
from paddleseg.losses import RMILoss


def formula(
    logits, label, rmi_radius=3, rmi_pool_way=0, rmi_pool_size=3, rmi_pool_stride=3, ignore_index=255
):
    counted = [n for n in range(len(label)) if (label[n] != ignore_index).any()]
    y = one_hot(label, logits.shape[1])
    p = sigmoid(logits) * (label != ignore_index)[:, None] + 1e-6
    total = 0.0
    for n in counted:
        for c in range(logits.shape[1]):
            Y, P = (
                regions(pooled(x[n, c], rmi_pool_way, rmi_pool_size, mode), rmi_radius)
                for x, mode in ((y, "nearest"), (p, "linear"))
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


def pooled(x, way, size, mode):
    if size == 1:
        return x
    if way == 2:
        return resized(x, [length // size for length in x.shape], mode)
    margin = size // 2
    padded = np.pad(x, margin, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::size, ::size]
    return (np.nanmax if way == 0 else np.nanmean)(windows, axis=(2, 3))


def resized(x, shape, mode):
    """Return H x W at another size: the nearest by floors, or linear with the corners aligned."""
    for axis, new in enumerate(shape):
        old = x.shape[axis]
        if mode == "nearest":
            x = np.take(x, np.arange(new) * old // new, axis=axis)
            continue
        at = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
        low = np.floor(at).astype(int)
        part = np.expand_dims(at - low, 1 - axis)
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, old - 1), axis) * part
    return x


class TestRMILoss(TaskLossTests):
    loss = RMILoss
    cases = (
        {},
        {"rmi_pool_way": 1, "rmi_pool_size": 2, "rmi_pool_stride": 2},
        {"rmi_pool_way": 2, "rmi_pool_size": 2, "rmi_pool_stride": 2},
        {"rmi_radius": 2, "rmi_pool_size": 1, "rmi_pool_stride": 1},
    )
    shapes = ((2, 3, 11, 14), (1, 2, 12, 9))
    small = (1, 2, 9, 10)
    formula = staticmethod(formula)
    refused = [
        ({"rmi_radius": 0}, "rmi_radius must be 1 to 10, not 0"),
        ({"rmi_pool_way": 3}, r"rmi_pool_way must be 0 \(maximum\), 1 \(mean\) or 2"),
        ({"rmi_pool_size": 0, "rmi_pool_stride": 0}, "rmi_pool_size must be 1 or above, not 0"),
        ({"rmi_pool_size": 2}, r"rmi_pool_stride \(3\) must be the same as rmi_pool_size \(2\)"),
    ]


def test_a_perfect_prediction_gives_the_constant():
    random = np.random.RandomState(3)
    label = random.randint(0, 2, (2, 12, 12))
    logits = np.where(one_hot(label, 2) == 1, 40.0, -40.0).astype("float32")
    loss = RMILoss(rmi_pool_size=1, rmi_pool_stride=1)
    # But for the regulariser of the inversion, the masks determine themselves: nearly log(5e-4) / 2.
    value = float(loss(tensor(logits), tensor(label)))
    assert value == pytest.approx(2 * np.log(5e-4) / 2, abs=0.8)
    assert float(loss(tensor(normal(logits.shape, 4)), tensor(label))) > value + 5


@pytest.mark.parametrize(
    ("shape", "params", "message"),
    [
        ((1, 2, 5, 9), {}, r"\[1, 2, 5, 9\] are pooled to 2 x 3, which is less than rmi_radius \(3\)"),
        ((1, 2, 8, 2), {"rmi_pool_way": 2}, "pooled to 2 x 0"),
        ((1, 3, 9, 9), {"num_classes": 2}, "num_classes is 2, but the model has 3 classes"),
        ((1, 2, 9), {}, "logits need a shape of N x C x H x W"),
    ],
)
def test_refuses_logits_that_it_cannot_use(shape, params, message):
    with pytest.raises(UserError, match=message):
        RMILoss(**params)(paddle.zeros(shape), paddle.zeros([shape[0], *shape[2:]], dtype="int64"))
