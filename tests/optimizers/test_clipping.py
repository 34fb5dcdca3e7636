"""Gradient clipping against hand-computed updates, with and without groups."""

import numpy as np
import paddle
import pytest
from test_groups import RATE, SHAPES, Net, by_hand, gradient, start, trained

from paddleseg.errors import UserError
from paddleseg.optimizers import SGD, Adam, AdamW, Momentum

NORM = {"name": "ClipGradByNorm", "clip_norm": 1}
GLOBAL = {"name": "ClipGradByGlobalNorm", "clip_norm": 0.5}
GROUPS = [{"name": "body", "lr_mult": 0.1, "weight_decay_mult": 2}]


def by_norm(g, step):
    return g * min(1, 1 / np.linalg.norm(g))


def by_global_norm(g, step):
    whole = np.concatenate([gradient(name, step).ravel() for name in SHAPES])
    return g * min(1, 0.5 / np.linalg.norm(whole))


CLIPS = [
    (NORM, by_norm),
    (GLOBAL, by_global_norm),
    ({"name": "ClipGradByValue", "max": 0.4}, lambda g, step: g.clip(-0.4, 0.4)),
    ({"name": "ClipGradByValue", "max": 0.4, "min": -0.1}, lambda g, step: g.clip(-0.1, 0.4)),
]


@pytest.mark.parametrize(("cfg", "clip"), CLIPS, ids=[str(cfg) for cfg, _ in CLIPS])
@pytest.mark.parametrize("kind", [SGD, Momentum, Adam, AdamW])
@pytest.mark.parametrize("custom_cfg", [None, GROUPS], ids=["alike", "groups"])
def test_clips_before_the_decay(kind, custom_cfg, cfg, clip):
    weights = trained(kind(weight_decay=0.3, grad_clip_cfg=cfg, custom_cfg=custom_cfg))
    for name, weight in weights.items():
        rate, decay = (0.1, 2) if custom_cfg and "body" in name else (1, 1)
        expected = by_hand(kind.__name__, RATE * rate, 0.3 * decay, name, clip)
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cfg", [{**NORM, "clip_norm": 99}, {**GLOBAL, "clip_norm": 99}])
def test_short_gradients_are_not_changed(cfg):
    expected = trained(SGD())
    for name, weight in trained(SGD(grad_clip_cfg=cfg)).items():
        np.testing.assert_array_equal(weight, expected[name])


@pytest.mark.parametrize("custom_cfg", [None, GROUPS], ids=["alike", "groups"])
def test_parameters_without_a_gradient_are_left_out(custom_cfg):
    net = Net()
    stepping = SGD(grad_clip_cfg=GLOBAL, custom_cfg=custom_cfg)(net, RATE)
    stepping.step()
    (net.head.weight * paddle.to_tensor([[3.0], [4.0]])).sum().backward()
    stepping.step()
    np.testing.assert_array_equal(net.body.weight.numpy(), start("body.weight").astype("float32"))
    moved = start("head.weight") - RATE * np.array([[3.0], [4.0]]) * 0.5 / 5
    np.testing.assert_allclose(net.head.weight.numpy(), moved, rtol=1e-6)


def test_a_parameter_may_be_left_out_of_the_clipping():
    net = Net()
    net.head.bias.need_clip = False
    trained_net = trained(SGD(grad_clip_cfg=GLOBAL), net)
    np.testing.assert_allclose(trained_net["head.bias"], by_hand("SGD", RATE, 0, "head.bias"), rtol=1e-5)


def test_no_gradient_at_all_is_no_division_by_zero():
    net = Net()
    stepping = SGD(grad_clip_cfg=GLOBAL)(net, RATE)
    sum((p * 0).sum() for p in net.parameters()).backward()
    stepping.step()
    for name, p in net.named_parameters():
        np.testing.assert_array_equal(p.numpy(), start(name).astype("float32"))


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({}, "grad_clip_cfg.name: no None is known; there are 'ClipGradByGlobalNorm', 'ClipGradByNorm', 'Cl"),
        ({"name": "ClipGradByNrm"}, "no 'ClipGradByNrm' is known; did you mean 'ClipGradByNorm'"),
        ({"name": ["x"]}, r"grad_clip_cfg.name: no \['x'\] is known"),
        ({"name": "ClipGradByNorm"}, "grad_clip_cfg: the key 'clip_norm' of ClipGradByNorm is missing"),
        (
            {"name": "ClipGradByValue", "min": -1},
            "grad_clip_cfg: the key 'max' of ClipGradByValue is missing",
        ),
        ({**NORM, "max": 1}, "grad_clip_cfg: unknown key 'max' of ClipGradByNorm; there are 'clip_norm'"),
        ({**NORM, "clip_norm": 0}, "grad_clip_cfg.clip_norm: must be above 0, not 0"),
        ({**GLOBAL, "clip_norm": "x"}, "grad_clip_cfg.clip_norm: must be a number, not 'x'"),
        ({**GLOBAL, "clip_norm": float("nan")}, "grad_clip_cfg.clip_norm: must be a number, not nan"),
        ({"name": "ClipGradByValue", "max": -1}, "grad_clip_cfg: min must be below max, not 1 and -1"),
        (
            {"name": "ClipGradByValue", "max": 1, "min": 2},
            "grad_clip_cfg: min must be below max, not 2 and 1",
        ),
    ],
)
def test_a_wrong_description_is_refused(cfg, message):
    with pytest.raises(UserError, match=message):
        Momentum(grad_clip_cfg=cfg)
