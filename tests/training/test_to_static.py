"""The forward pass as a static graph: the same training."""

import os

import distilling
import paddle
import pytest
import tiny
from refusal import refusal
from running import arrays, train

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.monitoring.progress import Progress


@manager.MODELS.add_component
class UntraceableNet(tiny.TinyNet):
    """Gives as many outputs as the values of its input make it."""

    def forward(self, x):
        outputs = super().forward(x)
        if x.max() > 0:
            outputs = outputs + outputs
        return outputs


@pytest.fixture
def losses(monkeypatch):
    """`losses()` returns {name: number} of each iteration since it was last called."""
    added, real = [], Progress.add

    def add(self, values, ok=None):
        added.append({name: float(value) for name, value in values.items()})
        real(self, values, ok)

    def taken():
        told = list(added)
        added.clear()
        return told

    monkeypatch.setattr(Progress, "add", add)
    return taken


def assert_equal_losses(one, other):
    assert len(one) == len(other)
    for iteration, (ours, theirs) in enumerate(zip(one, other), 1):
        assert theirs == pytest.approx(ours, rel=1e-5), iteration


def small(root, **changes):
    model = {"type": "TinyNet", "num_classes": 2, "outputs": 2, "dropout": 0.3}
    loss = {"types": [{"type": "CrossEntropyLoss"}], "coef": [1, 0.4]}
    return tiny.config(root, **{"model": model, "loss": loss, "iters": 20, "batch_size": 2, **changes})


def test_plain_training_is_the_same(tmp_path, root, lines, losses):
    dic = small(root, distill=False)
    plain = train(tmp_path, dic, "plain", save_interval=10)
    of_plain = losses()
    static = train(tmp_path, dic, "static", save_interval=10, to_static_training=True)
    assert_equal_losses(of_plain, losses())
    assert len(of_plain) == 20
    assert set(arrays(plain, "iter_20")) == set(arrays(static, "iter_20"))
    rest = {"resume_model": os.path.join(static, "iter_10"), "to_static_training": True}
    train(tmp_path, dic, "rest", save_interval=10, **rest)
    resumed = losses()
    assert_equal_losses(of_plain[10:], resumed)


PADDLE_3 = int(paddle.__version__.split(".")[0]) >= 3
with_features = pytest.mark.skipif(not PADDLE_3, reason="refused under Paddle 2")


def test_features_of_a_graph_are_refused_under_paddle_2(tmp_path, root, monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    dic = small(root)
    dic["distill"] = {"features": [distilling.feature("body.0")]}
    arguments = {
        "student_config": tiny.write_yaml(tmp_path / "student.yml", dic),
        "teacher_config": [tiny.write_yaml(tmp_path / "teacher.yml", {"model": dic["model"]})],
        "distill_config": tiny.write_distill_file(tmp_path / "distill_config.py", []),
        "allow_random_teacher": True,
        "save_dir": str(tmp_path / "run"),
        "to_static_training": True,
    }
    with pytest.raises(UserError, match="to_static_training with features to distil needs Paddle 3"):
        tiny.distill(**arguments)


@with_features
def test_distillation_with_taps_of_all_kinds_is_the_same(tmp_path, root, lines, losses):
    features = [
        distilling.feature("body.0"),
        distilling.feature({"attr": "mixed"}),
        distilling.feature({"input_of": "heads.0"}),
        distilling.feature({"attr": "logit_list", "index": 0}),
    ]
    dic = small(root)
    dic["distill"] = {"features": features}
    dic["distill_loss"]["coef"] = [3, 1]
    student = tiny.write_yaml(tmp_path / "student.yml", dic)
    teacher = tiny.write_yaml(tmp_path / "teacher.yml", {"model": dic["model"]})
    told = []
    for static in (False, True):
        folder = tmp_path / f"run_{static}"
        tiny.distill(
            student_config=student,
            teacher_config=[teacher],
            distill_config=tiny.write_distill_file(tmp_path / "distill_config.py", [tiny.feature(1)]),
            allow_random_teacher=True,
            save_dir=str(folder),
            to_static_training=static,
            save_interval=10,
        )
        told.append(losses())
    assert_equal_losses(*told)
    assert len(told[0]) == 20
    assert len(told[0][0]) >= 7


@with_features
@pytest.mark.parametrize("at", ["full", "head"])
def test_what_a_layer_left_on_itself_before_is_no_part_of_the_graph(tmp_path, root, lines, losses, at):
    dic = tiny.config(root, model="StridedNet", iters=6)
    dic["distill_loss"]["at"] = at
    dic["distill"] = {"features": [distilling.feature({"attr": "mixed"})]}
    told = []
    for static in (False, True):
        tiny.distill(
            student_config=tiny.write_yaml(tmp_path / "student.yml", dic),
            teacher_config=[tiny.write_yaml(tmp_path / "teacher.yml", {"model": dic["model"]})],
            distill_config=tiny.write_distill_file(tmp_path / "distill_config.py", []),
            allow_random_teacher=True,
            save_dir=str(tmp_path / f"run_{static}"),
            to_static_training=static,
        )
        told.append(losses())
    assert_equal_losses(*told)
    assert len(told[0]) == 6


def test_a_model_that_is_no_static_graph_is_refused(tmp_path, root, capsys):
    dic = small(
        root,
        distill=False,
        model={"type": "UntraceableNet", "num_classes": 2},
        loss=tiny.config(root)["loss"],
    )
    dic["imports"] = ["tiny", "test_to_static"]
    told = refusal(capsys, lambda: train(tmp_path, dic, to_static_training=True))
    assert told.startswith(
        f"to_static_training: Paddle {paddle.__version__} cannot make a static graph of UntraceableNet: "
    )
    assert told.endswith("train without to_static_training")
