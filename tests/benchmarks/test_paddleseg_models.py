"""The count of PaddleSeg's model types that train a step."""

import sys

import paddleseg_models
import tiny
from paddleseg_tree import write_tree


def test_counts_the_types_that_train_and_names_the_others(tmp_path, root, monkeypatch, capsys):
    failing = """
import paddle.nn as nn
from paddleseg.cvlibs import manager

@manager.MODELS.add_component
class Failing(nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        raise KeyError('weights')
"""
    monkeypatch.setenv("PADDLESEG_PATH", write_tree(tmp_path / "seg", models__failing=failing))
    configs = tmp_path / "configs"
    (configs / "a").mkdir(parents=True)
    backbone = {"type": "Lone_S", "pretrained": "https://nowhere/weights.pdparams"}
    models = {
        "lone": {"type": "LoneNet", "num_classes": 2, "backbone": backbone},
        "failing": {"type": "Failing", "num_classes": 2},
        "unknown": {"type": "Unheard", "num_classes": 2},
    }
    for name, model in models.items():
        dic = tiny.config(root, model, distill=False)
        dic.pop("imports")
        tiny.write_yaml(configs / "a" / f"{name}.yml", dic)
    monkeypatch.setattr(sys, "argv", ["paddleseg_models.py", str(configs), "--size", "32"])
    paddleseg_models.main()
    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("LoneNet", "Failing", "1"))
    ]
    assert "a/failing.yml: FAILED " in lines[0]
    assert "a/lone.yml: loss 0." in lines[1]
    assert lines[2] == "1 of 2 model types trained a step; 1 not accepted"
