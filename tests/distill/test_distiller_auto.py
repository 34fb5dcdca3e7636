"""Weights that a `Distiller` measures: in a loop of one's own as in `fit`."""

import paddle
import paddle.nn as nn
import pytest
from test_distiller import IMAGES, batch, distiller, fitted, own_loop

from paddleseg.datasets.sampling import EpochBatches
from paddleseg.distill import Feature
from paddleseg.errors import UserError
from paddleseg.losses import KLLoss


def automatic(**arguments):
    defaults = {
        "logits": ("SegChannelwiseLoss", "auto"),
        "features": [Feature("body", "body", "SegChannelwiseLoss", weight="auto", share=0.5)],
    }
    return distiller(5, **{**defaults, **arguments})


def gradient_norm(loss, tensor):
    return float(paddle.grad(loss, tensor, retain_graph=True)[0].norm())


def test_the_first_batch_of_a_loop_is_measured_by_the_formula(lines):
    auto = automatic(features=(), logits=("KLLoss", "auto"))
    losses = auto(*batch())
    plain = distiller(5)
    (images, labels), teacher = batch(), plain.teachers[0]
    logits = plain.student(images)
    own = KLLoss()(logits, teacher(images)[0], labels)
    task = nn.CrossEntropyLoss(axis=1, ignore_index=255)(logits, labels)
    expected = gradient_norm(task, logits) / gradient_norm(own, logits)
    (weight,) = auto.measured_weights.values()
    assert weight == pytest.approx(expected, rel=1e-3)
    assert float(losses["KLLoss"]) == pytest.approx(weight * float(own), rel=1e-5)
    assert f"logits: auto is {weight:g}" in "".join(lines)


def test_measuring_leaves_no_trace(lines):
    auto = automatic()
    before = {key: value.numpy() for key, value in auto.state_dict().items()}
    paddle.seed(5)
    expected = float(paddle.rand([1]))
    paddle.seed(5)
    auto.measure([batch(0, 1), batch(2, 3)])
    assert float(paddle.rand([1])) == expected
    assert all((before[key] == value.numpy()).all() for key, value in auto.state_dict().items())
    assert all(parameter.grad is None for parameter in auto.parameters())


@pytest.mark.parametrize(
    "logits", [("KLLoss", "auto"), {"types": ["KLLoss"], "coef": "auto", "share": 0.3}], ids=["pair", "dict"]
)
def test_a_loop_that_measures_what_fit_measures_gives_the_same_losses(tmp_path, logits, lines):
    own = automatic(logits=logits)
    first = [batch(*(index for _, index in keys)) for keys in EpochBatches(len(IMAGES), 2, iters=6, seed=0)]
    own.measure(first)
    by_trainer = fitted(automatic(logits=logits), tmp_path / "run")
    for one, other in zip(own_loop(own), by_trainer):
        assert one == pytest.approx(other, abs=1e-6)


def test_after_fit_the_loop_goes_on_with_its_weights_and_a_resume_too(tmp_path, lines):
    auto = automatic()
    fitted(auto, tmp_path / "run", iters=2)
    stated = [line.split(" is ")[1].split(":")[0] for line in lines if "auto is" in line and "norm" in line]
    auto(*batch())
    again = automatic()
    fitted(again, tmp_path / "run", iters=2, resume_model="auto")
    assert not any("auto is" in line and "norm" in line for line in lines[-6:])
    assert [str(weight) for weight in again.measured_weights.values()] == stated
    assert again.measured_weights == auto.measured_weights


def test_several_losses_of_one_output_have_weights_of_their_own(lines):
    auto = automatic(features=(), logits=[("KLLoss", "auto"), (nn.MSELoss(), "auto"), ("KLLoss", 2.0)])
    auto(*batch())
    assert set(auto.measured_weights) == {"distill_loss.coef.0", "distill_loss.coef.1"}
    assert [line.split(" of output")[0].split()[-1] for line in lines] == ["KLLoss", "MSELoss"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": (nn.CrossEntropyLoss(axis=1), "auto")}, "loss: a weight must be .* not 'auto'"),
        ({"loss": None}, "there is no loss of the labels to measure it by"),
    ],
)
def test_only_a_loss_against_the_teacher_is_measured_and_by_that_of_the_task(arguments, message):
    with pytest.raises(UserError, match=message):
        automatic(**arguments)


def test_a_weight_is_measured_in_training_with_labels():
    auto = automatic()
    with pytest.raises(UserError, match="measured with labels, and this batch has none"):
        auto(batch()[0])
    auto.eval()
    with pytest.raises(UserError, match=r"not known yet; train, or call measure\(batches\)"):
        auto(*batch())


def test_fit_keeps_the_weights_that_were_measured(tmp_path):
    auto = automatic()
    auto.measure([batch(2, 3)])
    measured = auto.measured_weights
    fitted(auto, tmp_path / "run", iters=2)
    assert auto.measured_weights == measured


def test_without_batches_nothing_can_be_measured():
    with pytest.raises(UserError, match="measured on batches, and there are none"):
        automatic().measure([])


def test_the_weights_of_a_checkpoint_win(tmp_path):
    first = automatic()
    fitted(first, tmp_path / "run", iters=2)
    again = automatic()
    again.measure([batch(2, 3)])
    fitted(again, tmp_path / "run", iters=2, resume_model="auto")
    assert again.measured_weights == first.measured_weights
