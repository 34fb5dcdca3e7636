"""Three steps of each optimizer against its formula in float64 NumPy."""

import numpy as np
import paddle
import pytest
from refusal import refusal

from paddleseg.optimizers import SGD, Adam, AdamW, Momentum

START = np.array([0.5, -1.5, 2.0])
GRADIENTS = np.array([[0.1, -0.2, 3.0], [0.0, 0.4, -1.0], [-2.0, 0.3, 0.5]])
RATE = 0.1


def trained(optimizer, rate=RATE, weight=START):
    """Return a parameter after one step along each of `GRADIENTS`."""
    layer = paddle.nn.Layer()
    layer.w = paddle.create_parameter(
        [3], "float32", default_initializer=paddle.nn.initializer.Assign(weight)
    )
    stepping = optimizer(layer, rate)
    for gradient in GRADIENTS:
        (layer.w * paddle.to_tensor(gradient.astype("float32"))).sum().backward()
        stepping.step()
        stepping.clear_grad()
    return layer.w.numpy()


def momentum_formula(momentum=0.0, weight_decay=0.0, nesterov=False):
    w, velocity = START.copy(), np.zeros(3)
    for gradient in GRADIENTS:
        g = gradient + weight_decay * w
        velocity = momentum * velocity + g
        w = w - RATE * (g + momentum * velocity if nesterov else velocity)
    return w


def adam_formula(beta1=0.9, beta2=0.999, epsilon=1e-8, penalty=0.0, decoupled=0.0):
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(GRADIENTS, 1):
        g = gradient + penalty * w
        w = w - RATE * decoupled * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        w = w - RATE * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return w


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(), momentum_formula()),
        (SGD(weight_decay=0.3), momentum_formula(weight_decay=0.3)),
        (SGD(momentum=0.9), momentum_formula(0.9)),
        (SGD(momentum=0.5, weight_decay=0.3), momentum_formula(0.5, 0.3)),
        (SGD(momentum=0.5, use_nesterov=True), momentum_formula(0.5, nesterov=True)),
        (Momentum(), momentum_formula(0.9)),
        (Momentum(0.5, weight_decay=0.3), momentum_formula(0.5, 0.3)),
        (Momentum(0.5, use_nesterov=True), momentum_formula(0.5, nesterov=True)),
        (Adam(), adam_formula()),
        (Adam(0.5, 0.9, 1e-2, weight_decay=0.3), adam_formula(0.5, 0.9, 1e-2, penalty=0.3)),
        (AdamW(), adam_formula(decoupled=0.01)),
        (AdamW(0.5, 0.9, 1e-2, weight_decay=0.3), adam_formula(0.5, 0.9, 1e-2, decoupled=0.3)),
    ],
)
def test_three_steps_follow_the_formula(optimizer, expected):
    np.testing.assert_allclose(trained(optimizer), expected, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [SGD, Momentum, Adam, AdamW])
@pytest.mark.parametrize("decay", [0, 1])
def test_weight_decay_may_be_a_whole_number(optimizer, decay):
    np.testing.assert_array_equal(
        trained(optimizer(weight_decay=decay)), trained(optimizer(weight_decay=float(decay)))
    )


@pytest.mark.parametrize("optimizer", [SGD, Momentum, Adam])
def test_without_weight_decay_nothing_decays(optimizer):
    np.testing.assert_array_equal(trained(optimizer(weight_decay=None)), trained(optimizer(weight_decay=0)))


def test_the_rate_follows_a_schedule():
    schedule = paddle.optimizer.lr.PiecewiseDecay([1, 2], [0.1, 0.0, 0.5])
    layer = paddle.nn.Linear(1, 1)
    optimizer = SGD()(layer, schedule)
    rates = []
    for _ in range(3):
        rates.append(optimizer.get_lr())
        schedule.step()
    assert rates == [0.1, 0.0, 0.5]


def test_one_description_makes_separate_optimizers():
    description = Momentum()
    np.testing.assert_array_equal(trained(description), trained(description))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1), "momentum must be 0 or above and below 1, not 1"),
        (lambda: SGD(use_nesterov=True), "use_nesterov needs a momentum above 0"),
        (lambda: SGD(momentum=-0.5), "momentum must be 0 or above and below 1, not -0.5"),
        (lambda: SGD(weight_decay=-1e-4), "weight_decay must be 0 or above, not -0.0001"),
        (lambda: Momentum(momentum=1.5), "momentum must be 0 or above and below 1, not 1.5"),
        (lambda: Adam(beta1=1), "beta1 must be 0 or above and below 1, not 1"),
        (lambda: Adam(epsilon=-1), "epsilon must be 0 or above, not -1"),
        (lambda: AdamW(beta2=2), "beta2 must be 0 or above and below 1, not 2"),
        (lambda: AdamW(weight_decay=float("nan")), "weight_decay must be 0 or above, not nan"),
        (lambda: AdamW(weight_decay=float("inf")), "weight_decay must be 0 or above, not inf"),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused(make, message, capsys):
    assert refusal(capsys, make) == message
