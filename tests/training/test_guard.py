import numpy as np
import paddle
import pytest
import tiny

from paddleseg.errors import UserError
from paddleseg.losses import CIRKDMemoryLoss
from paddleseg.training.guard import BadSteps, Guard, batch_files
from paddleseg.utils.logger import logger

OPTIMIZERS = ["SGD", "Momentum", "Adam", "AdamW"]


def state_of(model, optimizer):
    """Return all that a step changes, as arrays."""
    tensors = {**model.state_dict(), **optimizer.state_dict()}
    return {key: value.numpy() for key, value in tensors.items() if isinstance(value, paddle.Tensor)}


def made(name, **more):
    paddle.seed(1)
    model = tiny.TinyNet()
    optimizer = getattr(paddle.optimizer, name)(0.1, parameters=model.parameters()[:4], **more)
    return model, optimizer


def step(guard, model, poison=1.0, seed=0):
    """Make a step whose loss is multiplied by `poison`; return the flags."""
    guard.begin()
    x = paddle.to_tensor(np.random.default_rng(seed).normal(size=[2, 3, 8, 8]).astype("float32"))
    loss = model(x)[0].mean() * poison
    loss.backward()
    return guard.step(loss).numpy().tolist()


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_bad_step_changes_nothing_to_the_bit(name, on_device):
    model, optimizer = made(name)
    guard = Guard(model, optimizer, on_device)
    assert step(guard, model) == [1, 1, 1, 0]
    before = state_of(model, optimizer)
    assert step(guard, model, float("nan"), seed=1) == [0, 0, 0, 0]
    after = state_of(model, optimizer)
    assert set(before) == set(after)
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    assert all(p.grad is None or not p.grad.numpy().any() for p in model.parameters())


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_good_steps_are_those_of_the_bare_optimizer(name, on_device):
    model, optimizer = made(name)
    bare, its_optimizer = made(name)
    guard = Guard(model, optimizer, on_device)
    for seed in range(4):
        step(guard, model, float("inf") if seed == 2 else 1.0, seed)
        if seed != 2:
            x = np.random.default_rng(seed).normal(size=[2, 3, 8, 8]).astype("float32")
            bare(paddle.to_tensor(x))[0].mean().backward()
            its_optimizer.step()
            its_optimizer.clear_grad()
    expected, got = bare.state_dict(), model.state_dict()
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key].numpy(), value.numpy(), err_msg=key)


def test_a_bad_first_step_is_not_applied_either():
    model, optimizer = made("Adam")
    guard = Guard(model, optimizer, on_device=True)
    before = state_of(model, optimizer)
    assert step(guard, model, float("nan")) == [0, 0, 0, 0]
    for key, value in state_of(model, optimizer).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("on_device", [False, True])
def test_a_gradient_that_is_not_finite_is_a_bad_step_too(on_device):
    model, optimizer = made("Momentum", grad_clip=paddle.nn.ClipGradByGlobalNorm(1.0))
    guard = Guard(model, optimizer, on_device)
    step(guard, model)
    before = state_of(model, optimizer)
    guard.begin()
    loss = paddle.sqrt(model(paddle.zeros([2, 3, 8, 8]))[0] * 0).sum()  # 0, whose gradient is not finite
    loss.backward()
    assert guard.step(loss).numpy().tolist() == [0, 1, 1, 0]
    for key, value in state_of(model, optimizer).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("last_has_b", [False, True])
def test_a_bad_step_with_a_parameters_first_gradient_changes_nothing(name, on_device, last_has_b):
    def trained(steps):
        paddle.seed(1)
        a, b = layers = [paddle.nn.Linear(3, 2), paddle.nn.Linear(3, 2)]
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = getattr(paddle.optimizer, name)(0.1, parameters=parameters, weight_decay=0.01)
        guard = Guard(paddle.nn.LayerList(layers), optimizer, on_device)
        for factor, with_b in steps:
            guard.begin()
            x = paddle.ones([1, 3])
            loss = ((a(x) + b(x) if with_b else a(x)) * factor).sum()
            loss.backward()
            guard.step(loss)
        return [p.numpy() for p in parameters]

    begin, end = (1.0, False), (2.0, last_has_b)
    expected, got = trained([begin, end, end]), trained([begin, (float("nan"), True), end, end])
    assert all(np.isfinite(value).all() for value in got)
    for one, other in zip(expected, got):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def warnings(monkeypatch):
    told = []
    monkeypatch.setattr(logger, "warning", told.append)
    return told


def flags(*values):
    return paddle.to_tensor(values, dtype="float32")


def test_bad_steps_are_named_with_their_files_and_counted_in_a_row(warnings):
    bad = BadSteps(3, lambda iteration: f"batch {iteration}")
    for iteration, ok in enumerate([1, 0, 0, 1, 0], 1):
        bad.add(iteration, flags(ok, ok, ok, 0))
    bad.check("run/iter_2")
    assert [line.split(":")[0] for line in warnings] == ["iter 2", "iter 3", "iter 5"]
    assert warnings[0].endswith("its batch: batch 2")
    assert bad.in_a_row == 1
    bad.add(6, flags(0, 0, 0, 0))
    bad.check("run/iter_2")
    bad.add(7, flags(0, 0, 0, 0))
    with pytest.raises(UserError, match="3 steps in a row, the last one iter 7.*checkpoint is run/iter_2"):
        bad.check("run/iter_2")


def test_a_rank_names_its_own_losses_alone_and_all_ranks_a_gradient(warnings):
    bad = BadSteps(9, str)
    bad.add(1, flags(0, 0, 1, 0))  # another rank's loss
    bad.add(2, flags(0, 1, 1, 0))
    bad.check(None)
    assert len(warnings) == 1
    assert "iter 2: the gradient is not finite" in warnings[0]


def test_a_run_without_a_checkpoint_is_told_so(warnings):
    bad = BadSteps(1, str)
    bad.add(1, flags(0, 0, 0, 0))
    with pytest.raises(UserError, match="there is no checkpoint yet"):
        bad.check(None)


def test_files_are_named_where_the_dataset_has_them():
    class Files:
        file_list = [["a.jpg", "a.png"], ["b.jpg", None]]

    keys = {3: [(0, 1), (1, 0)]}
    assert batch_files(Files(), keys.get)(3) == "b.jpg, a.jpg"
    assert batch_files(object(), keys.get)(3) == "samples 1, 0"


@pytest.mark.parametrize("on_device", [False, True])
def test_queues_undo_a_bad_step_without_being_copied(on_device):
    paddle.seed(3)
    loss_of = CIRKDMemoryLoss(2, 3, 3, pixel_memory_size=20, region_memory_size=3)
    optimizer = paddle.optimizer.SGD(0.1, parameters=loss_of.parameters())
    guard = Guard(loss_of, optimizer, on_device)

    def go(poison=1.0):
        guard.begin()
        assert not any(tensor is queue.vectors for tensor, _ in guard._statistics for queue in queues)
        for _ in range(2):  # of two batches, whose pushes overlap in the region queue
            value = loss_of(*(paddle.randn([2, 3, 4, 5]) for _ in range(2)), paddle.randint(0, 2, [2, 4, 5]))
            (value * poison).backward()
        return guard.step(value * poison).numpy().tolist()

    queues = loss_of.pixels, loss_of.regions
    assert go() == [1, 1, 1, 0]
    before = state_of(loss_of, optimizer)
    assert go(float("nan")) == [0, 0, 0, 0]
    for key, value in state_of(loss_of, optimizer).items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)
    assert go() == [1, 1, 1, 0]
    for key in ("pixels.vectors", "pixels.cursor", "regions.vectors"):
        assert (state_of(loss_of, optimizer)[key] != before[key]).any(), key


@pytest.mark.parametrize("on_device", [False, True])
def test_a_part_whose_loss_has_ended_stays_as_it_is(on_device):
    paddle.seed(1)
    a, b = paddle.nn.Linear(3, 2), paddle.nn.Linear(3, 2)
    both = paddle.nn.LayerList([a, b])
    optimizer = paddle.optimizer.Momentum(0.1, parameters=both.parameters(), weight_decay=0.01)
    guard = Guard(both, optimizer, on_device)
    for layers in ([a, b], [a, b], [a]):
        guard.begin()
        before = b.weight.numpy()
        loss = sum(layer(paddle.ones([1, 3])).sum() for layer in layers)
        loss.backward()
        guard.step(loss)
        assert (b.weight.numpy() == before).all() == (b not in layers)
