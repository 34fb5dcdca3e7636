"""Whole distillations under either engine."""

import os
import sys

import distilling
import paddle
import pytest
import tiny
from distilling import logged_losses
from exporting import converts
from running import arrays, assert_same

from paddleseg.distill.teachers import engine_choice
from paddleseg.errors import UserError

pytestmark = [converts, pytest.mark.usefixtures("home")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One folder for the exported file of all tests, whose teacher is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PADDLESEG_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def distill(tmp_path, root):
    """A function that distils a `TinyNet` into another one; returns the folder of the run."""
    paddle.seed(9)
    path = tiny.save_weights(tmp_path / "teacher.pdparams", distilling.with_statistics(tiny.TinyNet(width=6)))
    model = {"type": "TinyNet", "num_classes": 2, "width": 6, "pretrained": path}
    teacher = tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]})
    dic = tiny.config(root, imports=["tiny", "distilling"])
    dic["distill"] = {"features": [distilling.feature("body.0", connector="auto")]}

    def run(name, **options):
        return distilling.distill(tmp_path, dic, teacher, name, no_eval=True, **options)

    return run


def test_either_engine_trains_the_same_student(distill, lines):
    ours, theirs = (
        logged_losses(distill(engine, teacher_engine=engine, iters=20))
        for engine in ("paddle", "onnxruntime")
    )
    assert any("teacher: computed by onnxruntime" in line for line in lines)
    assert len(ours) == len(theirs) == 20
    for one, other in zip(ours, theirs):
        assert set(one) == {"loss", "CrossEntropyLoss", "KLLoss", "body.0_L2Loss"}
        assert other == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("engine", ["paddle", "onnxruntime"])
def test_a_run_that_goes_on_keeps_the_engine_that_was_faster_once(distill, lines, monkeypatch, engine):
    other = {"paddle": "onnxruntime", "onnxruntime": "paddle"}[engine]
    times = {engine: 100.0, other: 200.0}
    monkeypatch.setattr(engine_choice, "seconds_of", lambda engine, images: times[engine.name])
    whole = distill("whole", teacher_engine="auto")
    times.update({engine: 200.0, other: 100.0})
    checkpoint = os.path.join(whole, "iter_2")
    rest = distill("rest", teacher_engine="auto", resume_model=checkpoint)
    assert_same(arrays(whole, "iter_4"), arrays(rest, "iter_4"))
    message = f"teacher 0: engine: {engine} then, {other} now"
    with pytest.raises(UserError, match=message):
        distill("rest", teacher_engine=other, resume_model=checkpoint)
    distill("anyway", teacher_engine=other, resume_model=checkpoint, resume_anyway=True)
    assert any(message in line for line in lines)


def test_a_run_that_goes_on_misses_an_engine_that_is_gone(distill, monkeypatch):
    whole = distill("whole", teacher_engine="onnxruntime")
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    message = "onnxruntime computed the teacher until now and cannot any more .*: paddle2onnx is not"
    with pytest.raises(UserError, match=message):
        distill("rest", teacher_engine="auto", resume_model=os.path.join(whole, "iter_2"))
