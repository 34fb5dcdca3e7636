import numpy as np
import paddle
import pytest
import tiny

from paddleseg import onednn
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss
from paddleseg.training.ema import Ema
from paddleseg.training.guard import Guard
from paddleseg.training.step import SupervisedStep
from paddleseg.training.update import Update

RNG = np.random.default_rng(2)
IMAGES = RNG.normal(size=[8, 3, 6, 6]).astype("float32")
LABELS = RNG.integers(0, 2, size=[8, 6, 6])


class PlainNet(paddle.nn.Layer):
    """A convolution and dropout, without statistics of batches."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 2, 3, padding=1)
        self.dropout = paddle.nn.Dropout(dropout)

    def forward(self, x):
        return [self.dropout(self.conv(x))]


def made(optimizer="SGD", dropout=0.0, seed=0, ema=False, net=PlainNet):
    paddle.seed(4)
    model = net(dropout=dropout)
    schedule = paddle.optimizer.lr.PolynomialDecay(0.5, decay_steps=9)
    parameters = [p for p in model.parameters() if not p.stop_gradient]
    made_optimizer = getattr(paddle.optimizer, optimizer)(schedule, parameters=parameters)
    step = SupervisedStep(model, {"types": [CrossEntropyLoss()], "coef": [1]})
    average = Ema(model) if ema else None
    update = Update(step, made_optimizer, Guard(model, made_optimizer), average, seed)
    return model, update, average


def parts(count):
    """Return the eight samples as a list of `count` batches."""
    size = 8 // count
    return [
        {"img": paddle.to_tensor(IMAGES[i : i + size]), "label": paddle.to_tensor(LABELS[i : i + size])}
        for i in range(0, 8, size)
    ]


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_gradients_of_parts_are_those_of_the_whole(optimizer, count):
    whole, update_whole, _ = made(optimizer)
    split, update_split, _ = made(optimizer)
    for iteration in (1, 2, 3):
        one, _ = update_whole(parts(1), iteration)
        many, _ = update_split(parts(count), iteration)
        assert float(many["loss"]) == pytest.approx(float(one["loss"]), rel=1e-5)
    np.testing.assert_allclose(split.conv.weight.numpy(), whole.conv.weight.numpy(), rtol=2e-4, atol=1e-6)


def test_one_step_against_numpy():
    model, update, _ = made()
    weight, bias = (p.numpy().astype("float64") for p in (model.conv.weight, model.conv.bias))
    padded = np.pad(IMAGES.astype("float64"), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # N C H W 3 3
    logits = np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    slope = odds / odds.sum(1, keepdims=True) - np.stack([LABELS == 0, LABELS == 1], 1)
    gradient = np.einsum("nchwij,nohw->ocij", windows, slope) / LABELS.size
    update(parts(4), 1)
    np.testing.assert_allclose(model.conv.weight.numpy(), weight - 0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_a_bad_part_makes_the_whole_iteration_bad_and_the_schedule_goes_on():
    model, update, _ = made("Adam")
    update(parts(2), 1)
    before = model.conv.weight.numpy()
    bad = parts(2)
    bad[0]["img"] = bad[0]["img"] * float("nan")
    losses, flags = update(bad, 2)
    assert flags.numpy().tolist() == [0, 0, 0, 0]
    assert np.isnan(float(losses["loss"]))
    np.testing.assert_array_equal(model.conv.weight.numpy(), before)
    assert update._optimizer._learning_rate.last_epoch == 2


def test_statistics_that_a_bad_batch_has_spoiled_are_put_back():
    model, update, ema = made("Adam", net=tiny.TinyNet, ema=True)
    update(parts(2), 1)
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    averaged = {key: value.numpy() for key, value in ema.state_dict().items()}
    bad = parts(2)
    bad[0]["img"] = bad[0]["img"] * float("inf")
    update(bad, 2)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    for key, value in ema.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), averaged[key], err_msg=key)
    assert before["body.1._mean"].any()


def test_what_is_drawn_depends_on_seed_and_iteration_alone():
    def weight(seed, iterations, disturbed=False):
        model, update, _ = made(dropout=0.5, seed=seed)
        for iteration in iterations:
            if disturbed:
                paddle.seed(99)
            update(parts(1), iteration)
        return model.conv.weight.numpy()

    assert (weight(0, (1, 2)) == weight(0, (1, 2), disturbed=True)).all()
    assert (weight(0, (1, 2)) != weight(1, (1, 2))).any()
    assert (weight(0, (1, 2)) != weight(0, (1, 3))).any()


class ChangedInPlace(PlainNet):
    """Changes the convolution's input after the convolution, whose gradient needs it."""

    def forward(self, x):
        x = x * self.conv.bias.sum()
        logits = self.conv(x)
        x.add_(paddle.ones([1]))
        return [logits]


def test_a_refusal_of_the_backward_pass_is_one_line(monkeypatch):
    monkeypatch.setenv("PADDLESEG_CONV_ENGINE", "onednn")
    onednn.use_engine("auto")
    model, update, _ = made(net=ChangedInPlace)
    onednn.adopt(model)
    batch = {"img": paddle.to_tensor(IMAGES), "label": paddle.to_tensor(LABELS)}
    with pytest.raises(UserError, match="^a convolution's input or weight was changed in place before its"):
        update([batch], 1)
