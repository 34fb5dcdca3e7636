import os

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.core.checkpoint import Checkpoints
from paddleseg.errors import UserError


@pytest.fixture
def trained():
    """A model and an optimizer that has made one step."""
    model = tiny.TinyNet()
    schedule = paddle.optimizer.lr.PolynomialDecay(0.1, decay_steps=10)
    optimizer = paddle.optimizer.Momentum(schedule, parameters=model.parameters())
    model(paddle.randn([1, 3, 8, 8]))[0].sum().backward()
    optimizer.step()
    schedule.step()
    return model, optimizer


def folders(path):
    return sorted(os.listdir(path))


def test_what_was_saved_comes_back(tmp_path, trained):
    model, optimizer = trained
    Checkpoints(str(tmp_path)).save(3, model, optimizer, {"best_miou": 0.5})
    assert folders(tmp_path / "iter_3") == ["model.pdopt", "model.pdparams", "state.json"]
    saved = {k: v.numpy() for k, v in model.state_dict().items()}
    moments = {k: v.numpy() for k, v in optimizer.state_dict().items() if hasattr(v, "numpy")}
    for parameter in model.parameters():
        parameter.set_value(parameter * 0 + 7)
    optimizer._learning_rate.step()

    state = Checkpoints(str(tmp_path)).load(str(tmp_path / "iter_3"), model, optimizer)
    assert state == {"iter": 3, "best_miou": 0.5}
    assert optimizer._learning_rate.last_epoch == 1
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), saved[key])
    again = optimizer.state_dict()
    assert moments
    for key, value in moments.items():
        np.testing.assert_array_equal(again[key].numpy(), value)


def test_the_oldest_go_first_and_those_of_other_runs_stay(tmp_path, trained):
    os.makedirs(tmp_path / "iter_1")
    checkpoints = Checkpoints(str(tmp_path), keep_max=2)
    for iteration in (10, 20, 30):
        checkpoints.save(iteration, *trained, {})
    checkpoints.save_best(trained[0], {})
    assert folders(tmp_path) == ["best_model", "iter_1", "iter_20", "iter_30"]


def test_a_resumed_run_goes_on_pruning_its_earlier_ones(tmp_path, trained):
    first = Checkpoints(str(tmp_path), keep_max=2)
    for iteration in (10, 20):
        first.save(iteration, *trained, {})
    second = Checkpoints(str(tmp_path), keep_max=2)
    second.load(str(tmp_path / "iter_20"), *trained)
    second.save(30, *trained, {})
    assert folders(tmp_path) == ["iter_20", "iter_30"]


def test_saving_again_replaces_and_leaves_nothing_beside(tmp_path, trained):
    checkpoints = Checkpoints(str(tmp_path), keep_max=2)
    os.makedirs(tmp_path / "iter_10.part")  # of a run that was killed while saving
    checkpoints.save(10, *trained, {"best_miou": 0.1})
    checkpoints.save(10, *trained, {"best_miou": 0.2})
    assert folders(tmp_path) == ["iter_10"]
    state = checkpoints.load(str(tmp_path / "iter_10"), *trained)
    assert state["best_miou"] == 0.2


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path, trained):
    with pytest.raises(UserError, match=r"no model.pdparams, model.pdopt, state.json there"):
        Checkpoints(str(tmp_path)).load(str(tmp_path), *trained)


def test_a_checkpoint_of_another_model_is_refused(tmp_path, trained):
    Checkpoints(str(tmp_path)).save(1, *trained, {})
    with pytest.raises(UserError, match="wrongly shaped keys: body.0.weight"):
        Checkpoints(str(tmp_path)).load(str(tmp_path / "iter_1"), tiny.TinyNet(width=5), trained[1])


def test_a_damaged_state_is_refused(tmp_path, trained):
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.save(1, *trained, {})
    (tmp_path / "iter_1" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"training state .*state.json cannot be read"):
        checkpoints.load(str(tmp_path / "iter_1"), *trained)


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path, trained):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"file/iter_1 cannot be written"):
        Checkpoints(str(tmp_path / "file")).save(1, *trained, {})
