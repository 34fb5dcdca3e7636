"""Costs against sums by hand and against Paddle's own counter."""

import paddle
import paddle.nn as nn
import pytest

from paddleseg.evaluation import cost
from paddleseg.models import DeepLabV3P, PPLiteSeg
from paddleseg.models.backbones import STDC1, ResNet18_vd, ResNet50_vd


class Parts(nn.Layer):
    """A body that is called twice, a head, and an addition in between."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(3, 3, 3, padding=1, bias_attr=False), nn.BatchNorm2D(3), nn.ReLU()
        )
        self.head = nn.Conv2D(3, 2, 1)

    def forward(self, x):
        return [self.head(self.body(self.body(x)) + x)]


def test_operations_by_hand():
    costs = cost.measure(Parts(), [2, 3, 4, 5], repeats=0)
    pixels = 2 * 4 * 5
    body = pixels * 3 * (2 * 27) + 2 * pixels * 3 + pixels * 3
    head = pixels * 2 * (2 * 3 + 1)
    assert (costs["body"].flops, costs["head"].flops) == (2 * body, head)
    assert costs["total"].flops == 2 * body + head
    assert (costs["body"].parameters, costs["head"].parameters) == (81 + 6, 8)
    assert costs["total"].parameters == 95
    assert costs["total"].seconds is None


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.Conv2D(4, 6, 3, groups=2), [1, 4, 5, 5], 6 * 9 * (2 * 2 * 9 + 1)),
        (nn.Conv2DTranspose(4, 6, 2, stride=2, bias_attr=False), [1, 4, 3, 3], 4 * 9 * 2 * 6 * 4),
        (nn.Linear(3, 7), [5, 3], 35 * 7),
        (nn.AdaptiveAvgPool2D(1), [1, 2, 3, 3], 18),
        (nn.Hardswish(), [1, 2, 3, 3], 18),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Layer) else None,
)
def test_formulas_by_hand(layer, shape, flops):
    assert cost.measure(nn.Sequential(layer), shape, repeats=0)["total"].flops == flops


@pytest.mark.parametrize("backbone", [ResNet18_vd, ResNet50_vd])
def test_convolutions_are_counted_as_paddle_counts_them(backbone):
    model = DeepLabV3P(2, backbone())
    ours = cost.measure(model, [1, 3, 64, 64], repeats=0)
    theirs = paddle.flops(model, [1, 3, 64, 64])  # a multiplication and an addition together are one
    assert ours["total"].flops / 2 == pytest.approx(theirs, rel=0.02)
    assert ours["total"].uncounted == ()


def test_times_of_the_parts_make_up_the_whole():
    costs = cost.measure(Parts(), [1, 3, 64, 64], repeats=5)
    parts = sum(costs[name].seconds for name in ("body", "head", cost.REST))
    assert 0 < costs["body"].seconds < costs["total"].seconds
    assert parts == pytest.approx(costs["total"].seconds, rel=0.5)


class Summed(nn.LayerList):
    """A list that is called itself."""

    def forward(self, x):
        return sum(layer(x) for layer in self)


class Held(nn.Layer):
    """A layer that only holds another."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer


def convolution():
    return nn.Conv2D(3, 64, 7, padding=3)


@pytest.mark.parametrize(
    ("heads", "run"),
    [
        # The second is of training alone.
        (lambda: nn.LayerList([convolution(), convolution()]), lambda heads, x: heads[0](x)),
        (lambda: nn.LayerList([nn.LayerList([convolution()])]), lambda heads, x: heads[0][0](x)),
        (lambda: nn.LayerDict({"main": convolution()}), lambda heads, x: heads["main"](x)),
        (lambda: Held(convolution()), lambda heads, x: heads.layer(x)),
        (lambda: Summed([convolution(), convolution()]), lambda heads, x: heads(x)),
    ],
    ids=["list", "nested", "dict", "holder", "called"],
)
def test_a_container_has_the_time_of_its_layers(monkeypatch, heads, run):
    class Holding(Parts):
        def __init__(self):
            super().__init__()
            self.heads = heads()

        def forward(self, x):
            return run(self.heads, super().forward(x)[0][:, :1].tile([1, 3, 1, 1]))

    # A clock that goes on by one with each look at it.
    monkeypatch.setattr(cost, "_now", iter(range(10**6)).__next__)
    costs = cost.measure(Holding(), [1, 3, 8, 8], repeats=2)
    seconds = {part: costs[part].seconds for part in ("body", "head", "heads", cost.REST, "total")}
    # Nine looks after the first: two at each of the four calls, and the last. What is between is the rest.
    assert seconds == {"body": 2, "head": 1, "heads": 1, cost.REST: 5, "total": 9}


def test_layers_without_a_formula_are_named():
    class Odd(nn.Layer):
        def __init__(self, numbers):
            super().__init__()
            self.scale = self.create_parameter([numbers, 1, 1])

        def forward(self, x):
            return x * self.scale

    assert cost.measure(nn.Sequential(Odd(3)), [1, 3, 4, 4], repeats=0)["total"].uncounted == ("Odd",)
    assert cost.measure(nn.Sequential(Odd(1)), [1, 3, 4, 4], repeats=0)["total"].uncounted == ()


def test_every_layer_of_pp_liteseg_has_a_formula():
    model = PPLiteSeg(2, STDC1())
    assert cost.measure(model, [1, 3, 64, 64], repeats=0)["total"].uncounted == ()


def test_the_mode_is_restored_and_no_hook_remains():
    model = Parts()
    model.train()
    cost.measure(model, [1, 3, 8, 8], repeats=1)
    assert model.training
    assert not any(layer._forward_post_hooks for layer in model.sublayers(include_self=True))
