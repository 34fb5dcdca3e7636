"""The benchmark of the losses makes a real step of each method of docs/methods.md."""

import distilling
import methods as benchmark
import numpy as np
import step_setup
import tiny

from paddleseg import losses


def test_every_method_is_measured():
    methods = [name for name in losses.__all__ if getattr(getattr(losses, name), "against", "") == "teacher"]
    assert set(benchmark.examples()) == {*methods, "KLLoss, standardised"}


def test_a_turn_is_a_step_by_that_loss_alone(tmp_path, root):
    dic = tiny.config(root, distill_loss={"types": [{"type": "SegChannelwiseLoss"}], "coef": [1]})
    tiny.write_yaml(tmp_path / step_setup.STUDENT, dic)
    teacher = distilling.write_teacher(tmp_path, {"type": "TinyNet", "num_classes": 2})
    assert teacher.endswith(step_setup.TEACHER)
    means, verdicts = benchmark.step(str(tmp_path), 4, benchmark.examples()["KLLoss"])()
    assert set(means) == {"loss", "CrossEntropyLoss", "KLLoss"}
    assert np.isfinite(float(means["loss"]))
    assert float(verdicts[0]) == 1


def test_the_table_has_the_ratio_to_klloss():
    text = benchmark.table({"KLLoss": [2.0, 2.0], "NFDLoss": [3.0, 3.0]})
    assert "| `NFDLoss` | 3.000 (3.000 to 3.000) | 1.50 |" in text.splitlines()
