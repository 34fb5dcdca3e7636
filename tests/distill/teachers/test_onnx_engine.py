"""A teacher's export computes what the teacher computes, and is made once."""

import os
import pathlib
import shutil

import numpy as np
import paddle
import pytest
import tiny
from distilling import Both, with_statistics
from exporting import converts

from paddleseg import models
from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers import OnnxEngine, Teacher
from paddleseg.distill.teachers.engine_choice import Reference
from paddleseg.errors import UserError

pytestmark = [converts, pytest.mark.usefixtures("home")]
GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
IMAGES = paddle.to_tensor(np.random.default_rng(2).standard_normal((2, 3, 16, 12)).astype("float32"))


def build(teacher, images=IMAGES):
    """Return (engine, its difference from Paddle)."""
    reference = Reference(teacher.engine, images)
    engine = OnnxEngine.build(teacher, reference)
    return engine, reference.difference(engine)


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


@pytest.mark.parametrize("backbone", ["ResNet18_vd", "MobileNetV2_x0_25", "MobileNetV3_small_x0_35", "STDC1"])
def test_taps_around_batch_norm_are_paddles_whatever_onnxruntime_folds(backbone):
    """onnxruntime folds batch norm into the convolutions before it, depthwise ones too."""
    paddle.seed(1)
    model = with_statistics(models.FCN(2, getattr(models.backbones, backbone)(), channels=4))
    layers = [
        name
        for name, layer in model.named_sublayers()
        if isinstance(layer, (paddle.nn.Conv2D, paddle.nn.BatchNorm2D))
    ]
    taps = [Tap("output_of", name) for name in layers[2:12]]
    taps += [Tap("input_of", "head.cls"), Tap("attr", "logit_list", 0), Tap("output_of", "head.cls")]
    teacher = Teacher(model, None, [(tap, "c.yml") for tap in taps])
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    engine, difference = build(teacher, paddle.randn([2, 3, 64, 64]))
    assert difference < 1e-4
    for size in ((64, 64), (65, 97)):
        assert_agree(teacher, engine, paddle.randn([3, 3, *size]))
    assert teacher.engine.name == "paddle"
    assert all((value.numpy() == before[key]).all() for key, value in model.state_dict().items())
    assert all("forward" not in vars(layer) for layer in model.sublayers(include_self=True))


def test_a_teacher_that_pools_is_exported_with_taps_around_its_pooling():
    paddle.seed(1)
    model = with_statistics(models.PSPNet(2, models.backbones.ResNet18_vd(), pp_out_channels=4))
    pools = [
        name for name, layer in model.named_sublayers() if isinstance(layer, paddle.nn.AdaptiveAvgPool2D)
    ]
    taps = [Tap(kind, name) for name in pools for kind in ("input_of", "output_of")]
    teacher = Teacher(model, None, [(tap, "c.yml") for tap in taps])
    engine, difference = build(teacher, paddle.randn([2, 3, 64, 64]))
    assert difference < 1e-4
    assert len(pools) == 4
    for size in ((33, 64), (65, 97)):
        assert_agree(teacher, engine, paddle.randn([3, 3, *size]))


def test_names_of_an_adaptor_and_several_outputs_are_exported():
    teacher = Teacher(tiny.TinyNet(outputs=2), Both)
    engine, _ = build(teacher)
    assert_agree(teacher, engine, paddle.randn([3, 3, 9, 14]))
    assert list(engine(IMAGES)[1]) == ["hidden_0", "hidden_1"]


def test_the_export_holds_nothing_of_the_pass_before_it():
    """A layer of the model keeps a tensor as an attribute, which must be computed, not stored."""
    teacher = Teacher(tiny.StridedNet(), None, [(Tap("attr", "mixed"), "c.yml")])
    engine, _ = build(teacher)
    assert_agree(teacher, engine, paddle.randn([2, 3, 16, 12]))


def exports(lines):
    return sum("teacher exported to" in line for line in lines)


def test_an_export_serves_the_same_teacher_alone(lines, home):
    paddle.seed(3)
    model = tiny.TinyNet()
    for _ in range(2):
        build(Teacher(model))
    assert exports(lines) == 1
    build(Teacher(model, Both))
    assert exports(lines) == 2
    model.heads[0].bias.set_value(model.heads[0].bias + 1)
    build(Teacher(model))
    assert exports(lines) == 3
    assert sorted({name.partition(".onnx")[2] for name in os.listdir(home / "teachers")}) == ["", ".lock"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A teacher, and the folder that holds its export."""
    teacher, folder = Teacher(tiny.TinyNet()), tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PADDLESEG_HOME", str(folder))
        build(teacher)
    return teacher, folder


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def outdate(path):
    """Change the numbers in a file, as if the user's code had changed and the weights had not."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    for node in model.graph.node:
        for attribute in node.attribute:
            value = numpy_helper.to_array(attribute.t) if attribute.HasField("t") else None
            if value is not None and value.dtype == np.float32:
                attribute.t.CopyFrom(numpy_helper.from_array(2 * value, attribute.t.name))
    onnx.save(model, str(path))


def replace(path):
    """Put a file of other inputs and outputs there."""
    shutil.copy(GOLDEN / "torch_teacher.onnx", path)


@pytest.mark.parametrize("damage", [cut, outdate, replace])
def test_a_stored_file_that_does_not_fit_is_exported_again(lines, home, exported, damage):
    teacher, folder = exported
    shutil.copytree(folder, home)
    (path,) = (home / "teachers").glob("*.onnx")
    damage(path)
    _, difference = build(teacher)
    assert difference < 1e-4
    assert exports(lines) == 1


def test_the_file_of_a_teacher_has_the_same_name_as_ever(home, monkeypatch):
    """Exports of earlier versions are found again."""
    monkeypatch.setattr("paddle.__version__", "3.0.0")
    monkeypatch.setattr("paddleseg.distill.teachers.onnx_engine.metadata.version", lambda package: "2.1.0")
    model = tiny.TinyNet()
    for parameter in model.parameters():
        parameter.set_value(paddle.full(parameter.shape, 0.25))
    build(Teacher(model, Both))
    assert [path.stem for path in (home / "teachers").glob("*.onnx")] == ["1a2b6092f5c10161eb96c56b"]


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be stored as .*set PADDLESEG_HOME to another folder"):
        build(Teacher(tiny.TinyNet()))
