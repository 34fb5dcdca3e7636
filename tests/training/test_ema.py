import contextlib
import json
import os

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.training import ema as ema_module
from paddleseg.training.ema import Ema

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "ema.json")


def ok(value=1.0):
    return paddle.to_tensor(value, dtype="float32")


def averages(model, weights, decay=0.999):
    """Average what a model's first weight is at iterations 1, 2, ...; return that weight's average."""
    key = next(iter(model.state_dict()))
    tensor = model.state_dict()[key]
    tensor.set_value(np.full(tensor.shape, weights[0], "float32"))
    ema = Ema(model, decay)
    for i, value in enumerate(weights[1:], 1):
        tensor.set_value(np.full(tensor.shape, value, "float32"))
        ema.update(i, ok())
    return ema.state_dict()[key].numpy().flatten()[0]


def test_the_average_is_the_released_paddlesegs():
    with open(GOLDEN, encoding="utf-8") as file:
        golden = json.load(file)
    got = averages(paddle.nn.Linear(1, 1), np.sin(np.arange(1200)))
    assert got == pytest.approx(golden["average"], rel=1e-5)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_against_numpy(decay):
    weights = np.random.default_rng(0).normal(size=40)
    expected = weights[0]
    for i, value in enumerate(weights[1:], 1):
        d = min(1 - 1 / (i + 1), decay)
        expected = d * expected + (1 - d) * value
    assert averages(paddle.nn.Linear(1, 1), weights, decay) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_gpu_which_reads_nothing_gives_the_same_to_the_bit(monkeypatch):
    states = []
    for on_cpu in (True, False):
        monkeypatch.setattr(ema_module.parallel, "on_cpu", lambda answer=on_cpu: answer)
        paddle.seed(2)
        model = tiny.TinyNet()
        ema = Ema(model)
        for iteration in (1, 2, 700):
            for parameter in model.parameters():
                parameter.set_value(parameter * 1.3 + 0.1)
            ema.update(iteration, ok())
        states.append({key: value.numpy() for key, value in ema.state_dict().items()})
    for key, value in states[0].items():
        np.testing.assert_array_equal(states[1][key], value, err_msg=key)


def test_a_bad_step_leaves_the_average_to_the_bit():
    model = tiny.TinyNet()
    ema = Ema(model)
    before = {key: value.numpy() for key, value in ema.state_dict().items()}
    for parameter in model.parameters():
        parameter.set_value(parameter + 1)
    ema.update(5, ok(0.0))
    for key, value in ema.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_statistics_are_averaged_too_and_whole_numbers_kept():
    model = tiny.TinyNet()
    model.register_buffer("seen", paddle.to_tensor([3], dtype="int64"))
    ema = Ema(model)
    model.body[1]._mean.set_value(np.full([4], 2.0, "float32"))
    ema.update(1, ok())  # the decay is 1 / 2 at first
    state = ema.state_dict()
    np.testing.assert_allclose(state["body.1._mean"].numpy(), 1.0)
    assert state["seen"].numpy().tolist() == [3]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_holds_the_average_only_meanwhile(fails):
    model = tiny.TinyNet()
    ema = Ema(model)
    weight = model.heads[0].weight
    weight.set_value(weight + 1)
    own = weight.numpy()
    with contextlib.suppress(KeyError), ema.holding():
        np.testing.assert_allclose(weight.numpy(), own - 1, rtol=1e-5, atol=1e-6)
        if fails:
            raise KeyError
    np.testing.assert_array_equal(weight.numpy(), own)
    assert not weight.stop_gradient


def test_what_was_saved_comes_back():
    model = tiny.TinyNet()
    ema = Ema(model)
    for parameter in model.parameters():
        parameter.set_value(parameter + 1)
    ema.update(1, ok())
    saved = {key: value.numpy() for key, value in ema.state_dict().items()}
    other = Ema(model)
    other.set_state_dict(saved)
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), saved[key])
