"""Which engine computes a teacher, and that either trains the same student."""

import json
import os
import re
import sys

import distilling
import numpy as np
import paddle
import pytest
import tiny
from distilling import Both
from exporting import converts

from paddleseg import models
from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers import teacher_engine, teacher_export
from paddleseg.distill.teachers.engines import OnnxEngine, PaddleEngine
from paddleseg.distill.teachers.teacher import Teacher
from paddleseg.distill.teachers.teacher_engine import choose_engines
from paddleseg.errors import UserError

MANY = 10**9  # forward passes, for which any export is worthwhile


@pytest.fixture(autouse=True)
def _kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def exports(monkeypatch):
    """How many files have been exported, as the length of a list."""
    made = []
    original = teacher_export._export
    monkeypatch.setattr(teacher_export, "_export", lambda *args: made.append(original(*args)))
    return made


def faster(monkeypatch, engine):
    """Let an engine be the faster one, whatever the machine does."""
    times = {"paddle": 2.0, "onnxruntime": 2.0, engine: 1.0}
    monkeypatch.setattr(teacher_engine, "_timed", lambda of, images: times[of.name])


def relative(ours, theirs):
    return np.abs(ours.numpy() - theirs.numpy()).max() / max(np.abs(ours.numpy()).max(), 1e-6)


def assert_agree(teacher, engine, images):
    with paddle.no_grad():
        logits, taps = teacher.engine(images)
    given, tapped = engine(images)
    assert list(tapped) == list(taps)
    for ours, theirs in zip((*logits, *taps.values()), (*given, *tapped.values())):
        assert ours.shape == theirs.shape
        assert relative(ours, theirs) < 1e-4
        assert theirs.stop_gradient


def named_statistics(model, seed=5):
    """Give the batch norms of a model statistics of their own, without which they would do nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._mean.set_value(rng.uniform(-0.2, 0.2, layer._mean.shape).astype("float32"))
            layer._variance.set_value(rng.uniform(0.7, 1.4, layer._variance.shape).astype("float32"))
    return model


@converts
@pytest.mark.parametrize("backbone", ["ResNet18_vd", "MobileNetV2_x0_25", "MobileNetV3_small_x0_35", "STDC1"])
def test_taps_before_and_after_batch_norm_are_paddles_whatever_the_engine_joins(backbone):
    """onnxruntime folds batch norm into the convolutions before it, depthwise ones too."""
    paddle.seed(1)
    model = named_statistics(models.FCN(2, getattr(models.backbones, backbone)(), channels=4))
    layers = [
        name
        for name, layer in model.named_sublayers()
        if isinstance(layer, (paddle.nn.Conv2D, paddle.nn.BatchNorm2D))
    ]
    taps = [Tap("output_of", name) for name in layers[2:12]]
    taps += [Tap("input_of", "head.cls"), Tap("attr", "logit_list", 0), Tap("output_of", "head.cls")]
    teacher = Teacher(model, None, [(tap, "c.yml") for tap in taps])
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    engine, difference = teacher_engine._candidate(teacher, paddle.randn([2, 3, 64, 64]))
    assert difference < 1e-4
    for size in ((64, 64), (65, 97)):
        assert_agree(teacher, engine, paddle.randn([3, 3, *size]))
    assert isinstance(teacher.engine, PaddleEngine)
    assert all((value.numpy() == before[key]).all() for key, value in model.state_dict().items())
    assert all("forward" not in vars(layer) for layer in model.sublayers(include_self=True))


@converts
def test_a_teacher_that_pools_is_exported_with_taps_around_its_pooling():
    paddle.seed(1)
    model = named_statistics(models.PSPNet(2, models.backbones.ResNet18_vd(), pp_out_channels=4))
    pools = [
        name for name, layer in model.named_sublayers() if isinstance(layer, paddle.nn.AdaptiveAvgPool2D)
    ]
    taps = [Tap(kind, name) for name in pools for kind in ("input_of", "output_of")]
    teacher = Teacher(model, None, [(tap, "c.yml") for tap in taps])
    engine, difference = teacher_engine._candidate(teacher, paddle.randn([2, 3, 64, 64]))
    assert difference < 1e-4
    assert len(pools) == 4
    for size in ((33, 64), (65, 97)):
        assert_agree(teacher, engine, paddle.randn([3, 3, *size]))


@converts
def test_names_of_an_adaptor_and_several_outputs_are_exported_too():
    teacher = Teacher(tiny.TinyNet(outputs=2), Both)
    images = paddle.randn([2, 3, 16, 12])
    engine, _ = teacher_engine._candidate(teacher, images)
    assert_agree(teacher, engine, paddle.randn([3, 3, 9, 14]))
    assert list(engine(images)[1]) == ["hidden_0", "hidden_1"]


@converts
def test_what_a_layer_left_on_itself_in_the_last_pass_is_no_part_of_the_export():
    teacher = Teacher(tiny.StridedNet(), None, [(Tap("attr", "mixed"), "c.yml")])
    engine, _ = teacher_engine._candidate(teacher, paddle.randn([2, 3, 16, 12]))
    assert_agree(teacher, engine, paddle.randn([2, 3, 16, 12]))


@converts
def test_an_export_that_answers_as_to_the_first_batch_disagrees(monkeypatch):
    teacher, images = Teacher(tiny.StridedNet()), paddle.randn([2, 3, 16, 12])
    with paddle.no_grad():
        first = teacher.engine(images)
    monkeypatch.setattr(OnnxEngine, "__call__", lambda self, images: first)
    assert not teacher_engine._candidate(teacher, images)[1] <= teacher_engine.AGREEMENT


class Mean(tiny.TinyNet):
    def forward(self, x):
        return super().forward(x - x.mean())


@converts
def test_a_teacher_at_which_the_converter_aborts_stays_with_paddle(monkeypatch, lines):
    faster(monkeypatch, "onnxruntime")
    assert choose_engines([Teacher(Mean())], paddle.randn([2, 3, 8, 8]), MANY) == {
        "teacher 0: engine": "paddle"
    }
    assert "computed by Paddle; onnxruntime: paddle2onnx cannot convert this model: " in lines[-1]


@converts
def test_an_export_is_kept_for_the_same_teacher_alone(exports, tmp_path):
    paddle.seed(3)
    model, images = tiny.TinyNet(), paddle.randn([2, 3, 8, 8])
    for _ in range(2):
        teacher_engine._candidate(Teacher(model), images)
    assert len(exports) == 1
    teacher_engine._candidate(Teacher(model, Both), images)
    assert len(exports) == 2
    model.heads[0].bias.set_value(model.heads[0].bias + 1)
    teacher_engine._candidate(Teacher(model), images)
    assert len(exports) == 3
    names = os.listdir(tmp_path / "home/teachers")
    assert sorted({name.partition(".onnx")[2] for name in names}) == ["", ".lock"]


@converts
@pytest.mark.parametrize("damage", ["cut", "stale", "of another form"])
def test_a_kept_file_that_is_damaged_or_stale_is_made_anew(exports, tmp_path, damage):
    teacher, images = Teacher(tiny.TinyNet()), paddle.randn([2, 3, 8, 8])
    teacher_engine._candidate(teacher, images)
    (path,) = (tmp_path / "home/teachers").glob("*.onnx")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:  # as if the user's code had changed and the weights had not
        other = Teacher(tiny.TinyNet(outputs=1 if damage == "stale" else 2))
        teacher_export._export(other, images, path)
        exports.clear()
        exports.append(None)
    _, difference = teacher_engine._candidate(teacher, images)
    assert difference < 1e-4
    assert len(exports) == 2


@converts
@pytest.mark.parametrize("engine", ["paddle", "onnxruntime"])
def test_auto_takes_the_faster_and_says_so(monkeypatch, lines, engine):
    faster(monkeypatch, engine)
    teacher = Teacher(tiny.TinyNet())
    chosen = choose_engines([teacher], paddle.randn([2, 3, 8, 8]), MANY)
    assert chosen == {"teacher 0: engine": engine} == {"teacher 0: engine": teacher.engine.name}
    name = {"paddle": "Paddle", "onnxruntime": "onnxruntime"}[engine]
    assert re.fullmatch(
        rf"teacher: computed by {name}; \d\.\d+ s under onnxruntime and \d\.\d+ s under Paddle for a batch "
        rf"of 2 x 3 x 8 x 8, largest relative difference \S+",
        lines[-1],
    )


@converts
def test_auto_leaves_an_engine_that_disagrees(monkeypatch, lines):
    faster(monkeypatch, "onnxruntime")
    original = OnnxEngine.__call__

    def wrong(self, images):
        logits, taps = original(self, images)
        return [logits[0] * 1.001], taps

    monkeypatch.setattr(OnnxEngine, "__call__", wrong)
    teacher, images = Teacher(tiny.TinyNet()), paddle.randn([2, 3, 8, 8])
    assert choose_engines([teacher], images, MANY) == {"teacher 0: engine": "paddle"}
    assert "computed by Paddle; onnxruntime: largest relative difference 1.0e-03 from Paddle" in lines[-1]
    told = "--teacher_engine onnxruntime: largest relative difference 1.0e-03 from Paddle, more than 1e-04"
    with pytest.raises(UserError, match=told):
        choose_engines([teacher], images, MANY, "onnxruntime")


def test_what_is_no_number_agrees_with_nothing():
    broken = paddle.full([2], float("nan"))
    assert not teacher_engine._relative(broken, broken) <= teacher_engine.AGREEMENT


class Unconvertible(tiny.TinyNet):
    def forward(self, x):
        return super().forward(paddle.to_tensor(np.sort(x.numpy(), axis=-1)))


@converts
def test_a_teacher_that_cannot_be_exported_stays_with_paddle(monkeypatch, lines):
    faster(monkeypatch, "onnxruntime")
    images = paddle.randn([2, 3, 8, 8])
    assert choose_engines([Teacher(Unconvertible())], images, MANY) == {"teacher 0: engine": "paddle"}
    assert "teacher: computed by Paddle; onnxruntime: " in lines[-1]
    with pytest.raises(UserError, match="--teacher_engine onnxruntime: "):
        choose_engines([Teacher(Unconvertible())], images, MANY, "onnxruntime")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("paddle.__version__", "2.6.2"), "onnxruntime needs Paddle 3, and this is 2.6.2"),
        pytest.param(
            ("sys.modules", {"paddle2onnx": None}),
            "paddle2onnx is not installed: pip install paddle2onnx",
            marks=converts,
        ),
        (("paddleseg.parallel.on_cpu", lambda: False), "computes teachers on the CPU, and this is cpu"),
    ],
)
def test_where_there_is_no_onnxruntime_auto_stays_with_paddle(monkeypatch, lines, change, told):
    where, what = change
    if where == "sys.modules":
        monkeypatch.setitem(sys.modules, *next(iter(what.items())))
    else:
        monkeypatch.setattr(where, what)
    faster(monkeypatch, "onnxruntime")
    teacher, images = Teacher(tiny.TinyNet()), paddle.randn([2, 3, 8, 8])
    assert choose_engines([teacher], images, MANY) == {"teacher 0: engine": "paddle"}
    assert told in lines[-1]
    with pytest.raises(UserError, match=f"--teacher_engine onnxruntime: .*{told}"):
        choose_engines([teacher], images, MANY, "onnxruntime")


def test_no_export_is_made_for_a_few_quick_passes(exports, lines):
    images = paddle.randn([2, 3, 8, 8])
    assert choose_engines([Teacher(tiny.TinyNet())], images, 4) == {"teacher 0: engine": "paddle"}
    assert "computed by Paddle; its 4 forward passes take 0.0 s" in lines[-1]
    assert exports == []


@converts
def test_a_folder_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be kept as .*PADDLESEG_HOME names another folder"):
        choose_engines([Teacher(tiny.TinyNet())], paddle.randn([2, 3, 8, 8]), MANY, "onnxruntime")


def prepare(tmp_path, root, **changes):
    """Write the files of a distillation; return a function that runs it into a folder of a name."""
    paddle.seed(9)
    path = tiny.save_weights(tmp_path / "teacher.pdparams", named_statistics(tiny.TinyNet(width=6)))
    model = {"type": "TinyNet", "num_classes": 2, "width": 6, "pretrained": path}
    dic = tiny.config(root, imports=["tiny", "distilling"], **changes)
    dic["distill"] = {"features": [distilling.feature("body.0", connector="auto")]}
    arguments = {
        "student_config": tiny.write_yaml(tmp_path / "student.yml", dic),
        "teacher_config": [tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]})],
        "distill_config": tiny.write_distill_file(tmp_path / "d.py", []),
        "no_eval": True,
    }

    def run(name, **flags):
        folder = str(tmp_path / name)
        tiny.distill(**arguments, save_dir=folder, **flags)
        return folder

    return run


def losses(folder):
    with open(os.path.join(folder, "history.jsonl"), encoding="utf-8") as file:
        return [json.loads(line)["losses"] for line in file]


def state(folder, name):
    return tiny.flat_arrays(os.path.join(folder, name, "model.pdparams"))


@converts
def test_either_engine_trains_the_same_student(tmp_path, root, lines):
    run = prepare(tmp_path, root, iters=20)
    ours, theirs = (losses(run(engine, teacher_engine=engine)) for engine in ("paddle", "onnxruntime"))
    assert any("teacher: computed by onnxruntime" in line for line in lines)
    assert len(ours) == len(theirs) == 20
    for one, other in zip(ours, theirs):
        assert set(one) == {"loss", "CrossEntropyLoss", "KLLoss", "body.0_L2Loss"}
        assert other == pytest.approx(one, rel=1e-4)


@converts
@pytest.mark.parametrize("engine", ["paddle", "onnxruntime"])
def test_a_run_that_goes_on_keeps_the_engine_that_was_faster_once(tmp_path, root, lines, monkeypatch, engine):
    monkeypatch.setattr(teacher_engine, "WORTHWHILE_SECONDS", -1)
    other = {"paddle": "onnxruntime", "onnxruntime": "paddle"}[engine]
    run = prepare(tmp_path, root)
    faster(monkeypatch, engine)
    whole = run("whole", teacher_engine="auto")
    faster(monkeypatch, other)
    rest = run("rest", teacher_engine="auto", resume_model=os.path.join(whole, "iter_2"))
    for key, value in state(whole, "iter_4").items():
        np.testing.assert_array_equal(state(rest, "iter_4")[key], value, err_msg=key)
    told = f"teacher 0: engine: {engine} then, {other} now"
    with pytest.raises(UserError, match=told):
        run("rest", teacher_engine=other, resume_model=os.path.join(whole, "iter_2"))
    again = {"teacher_engine": other, "resume_model": os.path.join(whole, "iter_2"), "resume_anyway": True}
    run("anyway", **again)
    assert any("what decides the outcome has changed" in line and told in line for line in lines)


@converts
def test_an_engine_that_is_gone_is_missed_by_a_run_that_goes_on(tmp_path, root, lines, monkeypatch):
    run = prepare(tmp_path, root)
    whole = run("whole", teacher_engine="onnxruntime")
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(UserError, match="until now onnxruntime computed the teacher, .*: paddle2onnx is not"):
        run("rest", teacher_engine="auto", resume_model=os.path.join(whole, "iter_2"))
