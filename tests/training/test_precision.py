"""Mixed precision. Paddle has none on a CPU: what is lowered there is lowered by hand."""

import contextlib
import json
import os

import numpy as np
import paddle
import pytest
import tiny
from refusal import refusal
from running import arrays, assert_same, config, train

from paddleseg.checkpoints import resume
from paddleseg.losses import CrossEntropyLoss
from paddleseg.options import TrainOptions
from paddleseg.training import precision
from paddleseg.training.guard import BadSteps, Guard
from paddleseg.training.precision import LossScale, autocast, loss_scale
from paddleseg.training.step import SupervisedStep
from paddleseg.training.update import Update

RNG = np.random.default_rng(6)
BATCHES = [
    {
        "img": RNG.normal(size=[2, 3, 8, 8]).astype("float32"),
        "label": RNG.integers(0, 2, size=[2, 8, 8]),
    }
    for _ in range(5)
]


@contextlib.contextmanager
def lowered():
    """Let convolutions compute as under `auto_cast`, of float16 numbers and to such, in float32 tensors."""
    functions = paddle.nn.functional.conv
    real = functions._conv_nd

    def half(x, weight, bias=None, *args, **kwargs):
        rounded = [t if t is None else t.astype("float16").astype("float32") for t in (x, weight, bias)]
        return real(*rounded, *args, **kwargs).astype("float16").astype("float32")

    functions._conv_nd = half
    try:
        yield
    finally:
        functions._conv_nd = real


def made(scale=None, on_device=False, optimizer="Momentum", **more):
    paddle.seed(4)
    model = tiny.TinyNet()
    clip = paddle.nn.ClipGradByGlobalNorm(0.1)
    schedule = paddle.optimizer.lr.PolynomialDecay(0.5, decay_steps=9)
    trained = getattr(paddle.optimizer, optimizer)(schedule, parameters=model.parameters(), grad_clip=clip)
    step = SupervisedStep(model, {"types": [CrossEntropyLoss()], "coef": [1]})
    return model, Update(step, trained, Guard(model, trained, on_device), loss_scale=scale, **more)


def go(update, iterations):
    """Make iterations; return the flags of each."""
    flags = []
    for i in iterations:
        batch = {key: paddle.to_tensor(value) for key, value in BATCHES[i % len(BATCHES)].items()}
        flags.append(update([batch], i + 1)[1].numpy().tolist())
    return flags


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("optimizer", ["Momentum", "AdamW"])
def test_a_scale_changes_nothing_where_nothing_overflows(on_device, optimizer):
    plain, update = made(on_device=on_device, optimizer=optimizer)
    scaled, update_scaled = made(LossScale(2.0**10), on_device, optimizer)
    assert go(update, range(5)) == go(update_scaled, range(5)) == [[1, 1, 1, 0]] * 5
    for one, other in zip(plain.parameters(), scaled.parameters()):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("on_device", [False, True])
def test_an_overflow_is_not_applied_and_halves_the_scale_until_it_fits(on_device):
    model, update = made(LossScale(2.0**14), on_device)
    go(update, [0])
    update._loss_scale._scale = paddle.to_tensor(2.0**127) * 4  # infinite
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    assert go(update, [1]) == [[0, 1, 1, 1]]
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    update._loss_scale._scale = paddle.to_tensor(2.0**10)
    assert go(update, [2]) == [[1, 1, 1, 0]]


def test_the_scale_is_halved_to_one_and_what_overflows_then_is_a_bad_step():
    scale = LossScale(4.0)
    yes, no = paddle.to_tensor(True), paddle.to_tensor(False)
    told = [(float(scale.update(yes, no)), scale.state()["scale"]) for _ in range(4)]
    assert told == [(1, 2), (1, 1), (0, 1), (0, 1)]


def test_a_loss_that_is_not_finite_says_nothing_of_the_scale():
    scale = LossScale(4.0, good=7)
    no = paddle.to_tensor(False)
    assert float(scale.update(no, no)) == 0
    assert scale.state() == {"scale": 4.0, "good": 0}
    model, update = made(LossScale(4.0))
    model.heads[0].bias.set_value(model.heads[0].bias * float("nan"))
    assert go(update, [0]) == [[0, 0, 0, 0]]
    assert update.loss_scale_state()["scale"] == 4.0


def test_the_scale_doubles_after_enough_good_steps_in_a_row():
    scale = LossScale(2.0, good=precision.STEPS_TO_DOUBLE - 2)
    yes, no = paddle.to_tensor(True), paddle.to_tensor(False)
    scale.update(yes, yes)
    assert scale.state()["scale"] == 2.0
    scale.update(yes, yes)
    assert scale.state() == {"scale": 4.0, "good": 0}
    scale.update(yes, yes)
    scale.update(yes, no)
    assert scale.state() == {"scale": 2.0, "good": 0}
    largest = LossScale(precision.LARGEST_SCALE, good=precision.STEPS_TO_DOUBLE)
    largest.update(yes, yes)
    assert largest.state()["scale"] == precision.LARGEST_SCALE


def test_overflows_do_not_count_towards_the_bad_steps_in_a_row(lines):
    bad = BadSteps(2, str, in_a_row=1)
    for iteration in (1, 2, 3):
        bad.add(iteration, paddle.to_tensor([0, 1, 1, 1], dtype="float32"))
    bad.check(None)
    assert bad.in_a_row == 1
    assert len(lines) == 3
    assert "scaled gradients overflow" in lines[0]


def test_half_precision_logits_train_with_float32_weights_losses_and_average():
    _, plain = made()
    model, update = made(loss_scale("fp16"), autocast=lowered)
    forward = model.forward
    model.forward = lambda x: [logits.astype("float16") for logits in forward(x)]
    for i in range(5):
        batch = {key: paddle.to_tensor(value) for key, value in BATCHES[i].items()}
        losses, flags = update([batch], i + 1)
        exact, _ = plain([batch], i + 1)
        assert flags[0] == 1
        assert losses["loss"].dtype == paddle.float32
        assert float(losses["loss"]) == pytest.approx(float(exact["loss"]), rel=2e-3)
        assert float(losses["loss"]) != float(exact["loss"])
    assert all(value.dtype == paddle.float32 for value in model.state_dict().values())


def test_autocast_asks_paddle_for_the_precision_and_level(monkeypatch):
    asked = []
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda **given: asked.append(given))
    autocast("bf16", "O2")()
    autocast("fp16", "O1")()
    with autocast("fp32", "O1")():
        pass
    assert asked == [{"level": "O2", "dtype": "bfloat16"}, {"level": "O1", "dtype": "float16"}]


def test_only_float16_has_a_scale():
    assert loss_scale("fp16").state() == {"scale": 65536.0, "good": 0}
    assert loss_scale("fp16", {"scale": 8.0, "good": 3}).state() == {"scale": 8.0, "good": 3}
    assert loss_scale("bf16") is None
    assert loss_scale("fp32", None) is None


@pytest.mark.parametrize("given", ["fp16", "bf16"])
def test_mixed_precision_is_refused_on_a_cpu(tmp_path, root, capsys, given):
    told = refusal(capsys, lambda: train(tmp_path, config(root), precision=given))
    assert told == (
        f"precision {given}: Paddle {paddle.__version__} computes mixed precision on GPUs alone, and this "
        f"run is on the CPU; use precision fp32"
    )


def test_a_level_without_a_precision_is_refused(tmp_path, root, capsys):
    told = refusal(capsys, lambda: train(tmp_path, config(root), amp_level="O2"))
    assert told.startswith("amp_level O2: ")
    assert "precision is fp32" in told


@pytest.mark.parametrize(
    ("other", "offered"), [(True, "use precision fp16 or fp32"), (False, "use precision fp32")]
)
def test_a_gpu_that_cannot_is_told_what_it_can(monkeypatch, capsys, other, offered):
    monkeypatch.setattr(precision.parallel, "on_cpu", lambda: False)
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: False)
    monkeypatch.setattr(paddle.amp, "is_float16_supported", lambda: other)
    told = refusal(capsys, lambda: precision.check_precision("bf16"))
    assert "compute capability 8.0" in told
    assert told.endswith(offered)


@pytest.fixture
def on_cpu(monkeypatch):
    """Let a CPU train in "mixed" precision, lowered by hand."""
    monkeypatch.setattr("paddleseg.training.starting.check_precision", lambda *_: None)
    monkeypatch.setattr("paddleseg.training.fitting.autocast", lambda *_: lowered)


def test_a_resumed_training_goes_on_with_its_scale_to_the_bit(tmp_path, root, lines, on_cpu, monkeypatch):
    # So that the scale changes on both sides of the checkpoint.
    monkeypatch.setattr(precision, "STEPS_TO_DOUBLE", 3)
    flags = {"precision": "fp16", "use_ema": True, "save_interval": 2}
    whole = train(tmp_path, config(root), "whole", **flags)
    rest = train(tmp_path, config(root), "rest", resume_model=os.path.join(whole, "iter_2"), **flags)
    assert_same(arrays(whole), arrays(rest))
    states = []
    for folder in (whole, rest):
        with open(os.path.join(folder, "iter_6", "state.json"), encoding="utf-8") as file:
            states.append(json.load(file)["loss_scale"])
    assert states[0] == states[1] == {"scale": 4 * precision.FIRST_SCALE, "good": 0}
    for name in ("model.pdparams", "ema_model.pdparams"):
        saved = tiny.flat_arrays(os.path.join(whole, "iter_6", name))
        assert all(value.dtype == np.float32 for value in saved.values())


def test_another_precision_is_another_outcome(tmp_path, root, lines, on_cpu, capsys):
    folder = train(tmp_path, config(root, iters=2), "fp16", precision="fp16")
    resumed = {"resume_model": os.path.join(folder, "iter_2")}
    told = refusal(capsys, lambda: train(tmp_path, config(root, iters=2), "fp32", **resumed))
    assert "--precision: fp16 then, not set now" in told


def test_default_precision_is_not_said_so_that_older_checkpoints_go_on(root, tmp_path):
    cfg = type("Cfg", (), {"dic": {}})
    assert not any("precision" in key or "amp" in key for key in resume.result_settings(cfg, TrainOptions()))
