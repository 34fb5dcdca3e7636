import os

import numpy as np
import paddle
import pytest
import tiny

from paddleseg import parallel
from paddleseg.checkpoints.checkpoint import Checkpoints
from paddleseg.checkpoints.snapshot import Snapshot
from paddleseg.errors import UserError
from paddleseg.losses.class_queue import ClassQueue
from paddleseg.training import TrainedLayer
from paddleseg.training.ema import Ema


class Extra(paddle.nn.Layer):
    """A connector and a queue."""

    def __init__(self):
        super().__init__()
        self.connector = paddle.nn.Conv2D(4, 4, 1)
        self.register_buffer("queue", paddle.zeros([3]))


def made(with_extra=True, width=4, ema=True):
    model = tiny.TinyNet(width=width)
    extra = Extra() if with_extra else None
    trained = TrainedLayer(model, extra)
    schedule = paddle.optimizer.lr.PolynomialDecay(0.1, decay_steps=10)
    parameters = [p for p in trained.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.Adam(schedule, parameters=parameters)
    return Snapshot(trained, optimizer, Ema(model) if ema else None)


def stepped(snapshot):
    y = snapshot.model(paddle.randn([1, 3, 8, 8]))[0].sum()
    if snapshot.extra is not None:
        y = y + snapshot.extra.connector(snapshot.model.mixed).sum()
        snapshot.extra.queue.set_value(np.array([1, 2, 3], "float32"))
    y.backward()
    snapshot.optimizer.step()
    snapshot.optimizer._learning_rate.step()
    snapshot.optimizer.clear_grad()
    if snapshot.ema is not None:
        snapshot.ema.update(1, paddle.ones([]))
    return snapshot


def arrays(snapshot):
    return {
        f"{name} {key}": value.numpy()
        for name, state in snapshot.files().items()
        for key, value in state.items()
        if isinstance(value, paddle.Tensor)
    }


@pytest.mark.parametrize("with_extra", [False, True])
def test_everything_comes_back_in_another_process_as_it_were(tmp_path, with_extra):
    first = stepped(made(with_extra))
    Checkpoints(str(tmp_path)).save(1, first.files(), {})
    names = ["ema_model.pdparams", "model.pdopt", "model.pdparams"]
    names = sorted([*names, "extra.pdparams"] if with_extra else names)
    assert [n for n in sorted(os.listdir(tmp_path / "iter_1")) if ".pd" in n] == names

    second = stepped(made(with_extra))  # its parameters have other internal names
    second.load(str(tmp_path / "iter_1"), 1)
    expected, got = arrays(first), arrays(second)
    assert set(expected) == set(got)
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key)
    assert second.optimizer._learning_rate.last_epoch == 1


def test_the_models_file_holds_nothing_of_the_extra():
    snapshot = made()
    assert set(snapshot.weights()["model.pdparams"]) == set(snapshot.model.state_dict())


def test_names_of_the_models_parameters_do_not_depend_on_an_extra():
    names = [key for key, _ in made().trained.named_parameters()]
    assert names[: len(names) - 2] == [key for key, _ in tiny.TinyNet().named_parameters()]
    assert names[-2:] == ["extra.connector.weight", "extra.connector.bias"]


def test_an_average_that_is_only_now_asked_for_starts_from_the_weights(tmp_path):
    first = stepped(made(ema=False))
    Checkpoints(str(tmp_path)).save(1, first.files(), {})
    second = made()
    second.load(str(tmp_path / "iter_1"), 1)
    weight = second.ema.state_dict()["body.0.weight"].numpy()
    np.testing.assert_array_equal(weight, first.model.state_dict()["body.0.weight"].numpy())


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("model.pdparams", "there is no model.pdparams"),
        ("model.pdopt", "there is no model.pdopt"),
        ("extra.pdparams", "there is no extra.pdparams; was it another kind of training"),
    ],
)
def test_a_missing_file_is_named(tmp_path, missing, told):
    Checkpoints(str(tmp_path)).save(1, stepped(made()).files(), {})
    os.remove(tmp_path / "iter_1" / missing)
    with pytest.raises(UserError, match=told):
        made().load(str(tmp_path / "iter_1"), 1)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    Checkpoints(str(tmp_path)).save(1, stepped(made(False)).files(), {})
    with pytest.raises(UserError, match="wrongly shaped keys: body.0.weight"):
        made(False, width=5).load(str(tmp_path / "iter_1"), 1)


def test_statistics_are_averaged_over_the_ranks_and_queues_are_not(monkeypatch):
    snapshot = made(ema=False)
    snapshot.extra = paddle.nn.LayerList([ClassQueue(2, 3, 4), paddle.nn.BatchNorm2D(4)])
    queue = snapshot.extra[0].vectors.numpy()
    monkeypatch.setattr(parallel, "num_ranks", lambda: 2)
    monkeypatch.setattr(parallel, "sum_over_ranks", lambda tensor: tensor + 6)
    monkeypatch.setattr(parallel, "gathered", lambda tensor: paddle.stack([tensor, tensor]))
    files = snapshot.files()
    np.testing.assert_array_equal(files["extra.pdparams"]["0.vectors"].numpy(), queue)
    np.testing.assert_array_equal(files["extra.pdparams"]["1._mean"].numpy(), 3)
    np.testing.assert_array_equal(files["ranks.pdparams"]["extra.0.vectors"].numpy(), [queue, queue])


def with_late_part(kind="Adam"):
    """Return the `Snapshot` of two layers, the first of which has its first gradient later, and `step`."""
    late, early = paddle.nn.Linear(2, 2), paddle.nn.Linear(2, 2)
    trained = TrainedLayer(paddle.nn.LayerList([late, early]))
    optimizer = getattr(paddle.optimizer, kind)(0.1, parameters=trained.parameters())

    def step(*layers):
        sum(layer(paddle.ones([1, 2])).square().sum() for layer in layers).backward()
        optimizer.step()
        for parameter in trained.parameters():
            parameter.clear_gradient(False)  # `set_to_zero`

    return Snapshot(trained, optimizer), late, early, step


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "Momentum"])
@pytest.mark.parametrize("after", [["late", "early"], ["late"], ["early", "late"]])
def test_a_part_that_begins_after_the_checkpoint_may_come_first(tmp_path, kind, after):
    """Its state is not in the checkpoint, and that of the other part stays even if this part rests."""
    first, late, early, step = with_late_part(kind)
    step(early)
    Checkpoints(str(tmp_path)).save(1, first.files(), {})
    for _ in range(2):
        step(*({"late": late, "early": early}[name] for name in after))
    second, late, early, step = with_late_part(kind)
    second.load(str(tmp_path / "iter_1"), 1)
    for _ in range(2):
        step(*({"late": late, "early": early}[name] for name in after))
    expected, got = arrays(first), arrays(second)
    assert set(expected) == set(got)
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key)


def test_a_second_optimizer_of_a_model_continues_a_checkpoint_of_the_first(tmp_path):
    first, _, early, step = with_late_part()
    step(early)
    Checkpoints(str(tmp_path)).save(1, first.files(), {})
    optimizer = paddle.optimizer.Adam(0.1, parameters=first.trained.parameters())
    second = Snapshot(first.trained, optimizer)
    second.load(str(tmp_path / "iter_1"), 1)
    expected, got = ([arrays(one)[key] for key in arrays(one) if "moment" in key] for one in (first, second))
    assert len(expected) == 4
    np.testing.assert_array_equal(
        np.concatenate(list(map(np.ravel, got))), np.concatenate(list(map(np.ravel, expected)))
    )


def test_an_optimizer_whose_schedule_is_ahead_of_the_checkpoint_is_refused(tmp_path):
    first = stepped(made())
    Checkpoints(str(tmp_path)).save(1, first.files(), {})
    with pytest.raises(UserError, match="schedule has made 2 steps already, and the checkpoint 1"):
        stepped(first).load(str(tmp_path / "iter_1"), 1)
