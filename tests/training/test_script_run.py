"""A training's objects in the place of a config: what describes them, and what is refused."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny

import paddleseg.transforms as T
from paddleseg.datasets import OpticDiscSeg
from paddleseg.errors import UserError
from paddleseg.losses import KLLoss
from paddleseg.training import TrainedLayer
from paddleseg.training.script_run import ScriptRun, check_optimizer, described, eval_config


def test_objects_are_described_by_their_settings():
    def own(logits, label):
        return logits

    rate = paddle.optimizer.lr.PolynomialDecay(0.1, 6)
    assert described(KLLoss(temperature=2.0))["temperature"] == 2.0
    assert described({"types": [nn.CrossEntropyLoss(axis=1), own], "coef": (1, 2)}) == {
        "types": [described(nn.CrossEntropyLoss(axis=1)), {"type": "own"}],
        "coef": [1, 2],
    }
    assert described(nn.CrossEntropyLoss(axis=1))["axis"] == 1
    assert described({"coef": list(np.linspace(1, 0.5, 2)), "share": np.float32(0.5)}) == {
        "coef": [1.0, 0.5],
        "share": 0.5,
    }
    before = described(rate)
    rate.step()
    assert described(rate) == before
    assert before["type"] == "PolynomialDecay"
    assert described(rate) != described(paddle.optimizer.lr.PolynomialDecay(0.2, 6))


def test_a_run_describes_its_data_and_its_optimizer(tmp_path):
    root = tiny.write_optic_disc(tmp_path)
    model = tiny.TinyNet()
    dataset = OpticDiscSeg([T.Normalize(mean=[0.1, 0.2, 0.3])], root)
    optimizer = paddle.optimizer.SGD(0.5, parameters=model.parameters())
    run = ScriptRun(
        model, dataset, optimizer=optimizer, iters=3, batch_size=2, num_classes=2, ignore_index=255
    )
    data = run.cfg.dic["train_dataset"]
    assert (data["type"], data["length"]) == ("OpticDiscSeg", 8)
    assert data["transforms"][0]["type"] == "Normalize"
    assert data["transforms"][0]["mean"] == pytest.approx([0.1, 0.2, 0.3])
    assert run.cfg.dic["optimizer"] == {"type": "SGD", "learning_rate": 0.5}
    assert (run.cfg.iters, run.cfg.batch_size, run.cfg.num_classes) == (3, 2, 2)
    assert run.optimizer_of(TrainedLayer(model)) is optimizer


def test_keys_without_their_switch_have_no_effect_as_in_paddleseg():
    assert eval_config({"scales": [0.5], "flip_horizontal": True, "crop_size": [8, 8]}) == eval_config({})
    assert eval_config({"aug_eval": True, "scales": 0.5}).scales == 0.5
    with pytest.raises(UserError, match="test_config: .*'flips'"):
        eval_config({"flips": True})


def test_groups_of_parameters_count():
    model = tiny.TinyNet()
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    check_optimizer(paddle.optimizer.Adam(0.1, parameters=groups), TrainedLayer(model))
    trained = TrainedLayer(model, nn.Linear(2, 2))
    with pytest.raises(UserError, match="lacks what is trained beside the student, such as extra.weight"):
        check_optimizer(paddle.optimizer.Adam(0.1, parameters=groups), trained)
