"""Groups of parameters: their members, and their steps against updates computed by hand."""

import json
import pathlib

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.errors import UserError
from paddleseg.optimizers import SGD, Adam, AdamW, Momentum, optimizer
from paddleseg.optimizers.groups import parameter_groups

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "updates.json"
RATE, STEPS = 0.1, 3
SHAPES = {"body.weight": [2, 2], "body.bias": [2], "head.weight": [2, 1], "head.bias": [1]}


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        for name, p in self.named_parameters():
            p.set_value(start(name).astype("float32"))


def start(name):
    number = int(np.prod(SHAPES[name]))
    return np.sin(list(SHAPES).index(name) + np.arange(number)).reshape(SHAPES[name])


def gradient(name, step):
    number = int(np.prod(SHAPES[name]))
    return np.cos(step + 2 * list(SHAPES).index(name) + np.arange(number)).reshape(SHAPES[name])


def step_of(net, stepping, step):
    terms = [
        (p * paddle.to_tensor(gradient(n, step).astype("float32"))).sum() for n, p in net.named_parameters()
    ]
    sum(terms).backward()
    stepping.step()
    stepping.clear_grad()


def trained(description, net=None):
    """Return the weights by name after `STEPS` steps along the fixed gradients."""
    net = net or Net()
    stepping = description(net, RATE)
    for step in range(STEPS):
        step_of(net, stepping, step)
    return {name: p.numpy() for name, p in net.named_parameters()}


def by_hand(kind, rate, decay, name, clip=lambda g, step: g):
    """Return a parameter after the same steps, in float64, as the papers update it."""
    w = start(name)
    velocity = m = v = np.zeros_like(w)
    for step in range(STEPS):
        g = clip(gradient(name, step), step)
        if kind == "AdamW":
            w = w * (1 - rate * decay)
        else:
            g = g + decay * w
        if kind == "SGD":
            w = w - rate * g
        elif kind == "Momentum":
            velocity = 0.9 * velocity + g
            w = w - rate * velocity
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            corrected = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
            w = w - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return w


@pytest.mark.parametrize("kind", [SGD, Momentum, Adam, AdamW])
def test_each_group_has_its_rate_and_decay(kind):
    custom_cfg = [
        {"name": "body.w", "lr_mult": 0.1, "weight_decay_mult": 2},
        {"name": "body", "lr_mult": 0},
        {"name": "head.bias", "weight_decay_mult": 0},
    ]
    weights = trained(kind(weight_decay=0.3, custom_cfg=custom_cfg))
    factors = {"body.weight": (0.1, 2), "body.bias": (0, 1), "head.weight": (1, 1), "head.bias": (1, 0)}
    for name, (rate, decay) in factors.items():
        expected = by_hand(kind.__name__, RATE * rate, 0.3 * decay, name)
        np.testing.assert_allclose(weights[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [SGD, Momentum, Adam, AdamW])
def test_norms_and_biases_may_be_free_of_decay(kind):
    weights = trained(kind(weight_decay=0.3, decay_norm_and_bias=False))
    for name, weight in weights.items():
        expected = by_hand(kind.__name__, RATE, 0 if name.endswith("bias") else 0.3, name)
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [SGD, Momentum, Adam])
def test_factors_without_a_weight_decay(kind):
    custom_cfg = [{"name": "body", "lr_mult": 0.5, "weight_decay_mult": 3}]
    weights = trained(kind(custom_cfg=custom_cfg, decay_norm_and_bias=False))
    for name, weight in weights.items():
        expected = by_hand(kind.__name__, RATE * (0.5 if "body" in name else 1), 0, name)
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda case: str(case["section"]))
def test_equals_paddleseg(case):
    section = dict(case["section"])
    weights = trained(getattr(optimizer, section.pop("type"))(**section))
    for name, expected in case["weights"].items():
        np.testing.assert_allclose(weights[name], expected, rtol=1e-5, atol=1e-6)


def test_a_schedule_moves_all_groups():
    schedule = paddle.optimizer.lr.PiecewiseDecay([1], [0.5, 0.0])
    net = Net()
    stepping = SGD(custom_cfg=[{"name": "body", "lr_mult": 0.1}])(net, schedule)
    step_of(net, stepping, 0)
    for name, rate in (("body.weight", 0.05), ("head.weight", 0.5)):
        moved = dict(net.named_parameters())[name].numpy()
        np.testing.assert_allclose(moved, start(name) - rate * gradient(name, 0), rtol=1e-5, atol=1e-6)
    schedule.step()
    before = net.head.weight.numpy()
    step_of(net, stepping, 1)
    np.testing.assert_array_equal(net.head.weight.numpy(), before)


class Normed(nn.Layer):
    """A convolution and a norm in a body, a parameter with a slow rate of its own, and a frozen layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, 4, 1), nn.BatchNorm2D(4), nn.PReLU(4))
        self.slow = self.create_parameter([2, 2], attr=paddle.ParamAttr(learning_rate=0.25))
        self.frozen = nn.Linear(2, 2)
        for p in self.frozen.parameters():
            p.stop_gradient = True


def members(layer, **params):
    """Return {(factor of the rate, decay): the names in that group}."""
    names = {p.name: name for name, p in layer.named_parameters()}
    return {
        (group["learning_rate"], group.get("weight_decay")): {names[p.name] for p in group["params"]}
        for group in parameter_groups(layer, **params)
    }


def test_norms_and_biases_are_what_has_a_single_axis():
    assert members(Normed(), weight_decay=0.5, decay_norm_and_bias=False) == {
        (1.0, 0.5): {"body.0.weight"},
        (1.0, 0.0): {"body.0.bias", "body.1.weight", "body.1.bias", "body.2._weight"},
        (0.25, 0.5): {"slow"},
    }


def test_the_first_item_that_fits_applies_and_other_parameters_keep_the_models_own_rate():
    custom_cfg = [{"name": "body.1", "weight_decay_mult": 0}, {"name": "body", "lr_mult": 0.1}]
    layer = Normed()
    for _ in range(2):  # building an optimizer changes no factor
        assert members(layer, weight_decay=0.5, custom_cfg=custom_cfg) == {
            (1.0, 0.0): {"body.1.weight", "body.1.bias"},
            (0.1, 0.5): {"body.0.weight", "body.0.bias", "body.2._weight"},
            (0.25, 0.5): {"slow"},
        }
        AdamW(weight_decay=0.5, custom_cfg=custom_cfg)(layer, 0.1)


def test_names_within_a_layer_that_holds_the_model():
    both = nn.Sequential(Normed(), nn.Linear(2, 2))
    groups = members(both, custom_cfg=[{"name": "body", "lr_mult": 0.1}])
    assert groups[(0.1, None)] == {
        f"0.body.{n}" for n in ("0.weight", "0.bias", "1.weight", "1.bias", "2._weight")
    }


def test_trained_parameters_that_are_all_alike_are_one_list():
    layer = Normed()
    expected = [p.name for p in layer.parameters() if not p.stop_gradient]
    assert [p.name for p in parameter_groups(layer, weight_decay=0.5)] == expected
    assert len(expected) == 6


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"name": "bdy"},
            "custom_cfg.0: the name 'bdy' is part of no trained parameter's name; did you mean 'body'",
        ),
        ({"name": "frozen"}, "'frozen' is part of no trained parameter's name; there are 'body', 'slow'$"),
    ],
)
def test_an_item_for_no_parameter_is_refused(item, message):
    with pytest.raises(UserError, match=message):
        SGD(custom_cfg=[item])(Normed(), 0.1)


def test_an_item_after_one_that_applies_to_all_of_its_parameters_is_refused():
    custom_cfg = [{"name": "body", "lr_mult": 0.1}, {"name": "body.1", "lr_mult": 0.2}]
    with pytest.raises(UserError, match="custom_cfg.1: the name 'body.1' fits only parameters to which an"):
        SGD(custom_cfg=custom_cfg)(Normed(), 0.1)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("body", "custom_cfg.0: must hold a `name`, a part of the parameters' names, not 'body'"),
        ({"lr_mult": 0.1}, "custom_cfg.0: must hold a `name`"),
        ({"name": ""}, "custom_cfg.0: must hold a `name`"),
        ({"name": "body", "lr_mul": 0.1}, "custom_cfg.0: unknown key 'lr_mul'; did you mean 'lr_mult'"),
        ({"name": "body", "lr_mult": -1}, "custom_cfg.0.lr_mult: must be a number of 0 or above, not -1"),
        ({"name": "body", "weight_decay_mult": "x"}, "custom_cfg.0.weight_decay_mult: must be a number"),
        ({"name": "body", "lr_mult": float("inf")}, "custom_cfg.0.lr_mult: must be a number"),
    ],
)
def test_an_item_with_a_wrong_key_is_refused(item, message):
    with pytest.raises(UserError, match=message):
        SGD(custom_cfg=[item])


def test_a_misspelling_in_paddlesegs_configs_is_ignored_as_there(lines):
    custom_cfg = [{"name": "body", "lr_multi": 10.0}, {"name": "slow", "lr_mult": 0.5}]
    SGD(custom_cfg=custom_cfg)
    assert lines == ["optimizer.custom_cfg.0: lr_multi has no effect, as in PaddleSeg; the key is lr_mult"]
    assert set(members(Normed(), custom_cfg=custom_cfg)) == {(1.0, None), (0.5, None)}
