"""The choice among all registered engines."""

import re
import sys

import numpy as np
import paddle
import pytest
import tiny
from exporting import converts

from paddleseg.distill.teachers import ENGINES, Engine, Teacher, check_engine, engine_choice
from paddleseg.distill.teachers.engine_choice import Reference, choose_engines
from paddleseg.errors import UserError

pytestmark = pytest.mark.usefixtures("home")
MANY = 10**9  # forward passes, for which any export is worthwhile
IMAGES = paddle.to_tensor(np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype("float32"))
CHOSEN = "teacher 0: engine"


@pytest.fixture
def times(monkeypatch):
    """Seconds of one pass of each engine, {name: seconds}; 2 for any other."""
    seconds = {}
    monkeypatch.setattr(engine_choice, "seconds_of", lambda engine, images: seconds.get(engine.name, 2.0))
    return seconds


class Third(Engine):
    """Runs Paddle's engine under another name."""

    name = "third"

    def __init__(self, engine):
        self._engine = engine

    @classmethod
    def build(cls, teacher, reference):
        return cls(teacher.engine)

    def __call__(self, images):
        return self._engine(images)


@pytest.fixture
def register(monkeypatch):
    """A function that registers an engine for the test, by default alone beside Paddle's engine."""

    def register(engine, alone=True):
        if alone:
            monkeypatch.delitem(ENGINES, "onnxruntime")
        monkeypatch.setitem(ENGINES, engine.name, engine)

    return register


def choose(wanted="auto", model=None, **more):
    """Return (the teacher, the name of its engine)."""
    teacher = Teacher(model or tiny.TinyNet())
    return teacher, choose_engines([teacher], IMAGES, MANY, wanted, **more)[CHOSEN]


def test_an_engine_of_ones_own_wins_if_it_is_faster(register, times, lines):
    register(Third)
    times["third"] = 1.0
    teacher, name = choose()
    assert name == teacher.engine.name == "third"
    assert isinstance(teacher.engine, Third)
    assert lines[-1].startswith("teacher: computed by third; 1.000 s under third and 2.000 s under paddle")
    times["third"] = 2.0
    assert choose()[1] == "paddle"
    assert choose("third")[1] == "third"


def test_an_engine_that_is_not_automatic_is_chosen_by_name_alone(register, times):
    class ByName(Third):
        automatic = False

    register(ByName)
    times["third"] = 1.0
    assert choose()[1] == "paddle"
    assert choose("third")[1] == "third"


def test_an_engine_that_says_why_not_is_neither_built_nor_chosen(register, times, lines):
    class Refusing(Engine):
        name = "third"

        @classmethod
        def why_not(cls, teacher):
            return f"third cannot run {type(teacher.model).__name__}"

    register(Refusing)
    times["third"] = 1.0
    assert choose()[1] == "paddle"
    assert lines[-1] == "teacher: computed by paddle; third cannot run TinyNet"
    with pytest.raises(UserError, match="^teacher_engine third: third cannot run TinyNet"):
        choose("third")


@pytest.mark.parametrize("on_another_rank", ["refused", "slower"])
def test_all_ranks_choose_the_same_engine(register, times, monkeypatch, on_another_rank):
    register(Third)
    times["third"] = 1.0
    theirs = [1] if on_another_rank == "refused" else [0, 10**7]
    monkeypatch.setattr(engine_choice.parallel, "most_over_ranks", lambda ours: max(ours, theirs.pop(0)))
    assert choose()[1] == "paddle"
    assert theirs == []


@converts
def test_the_fastest_of_three_engines_wins(register, times, lines):
    register(Third, alone=False)
    model = tiny.TinyNet()
    for fastest in ("onnxruntime", "third", "paddle"):
        times.update({"onnxruntime": 1.5, "third": 1.7, "paddle": 1.9, fastest: 1.0})
        assert choose(model=model)[1] == fastest
        pattern = (
            rf"teacher: computed by {fastest}; \d\.\d+ s under onnxruntime and \d\.\d+ s under paddle for a "
            r"batch of 2 x 3 x 8 x 8, largest relative difference \S+; \d\.\d+ s under third and .*"
        )
        assert re.fullmatch(pattern, lines[-1])


def test_an_engine_that_disagrees_is_not_chosen(register, times, lines):
    class Wrong(Third):
        def __call__(self, images):
            logits, taps = super().__call__(images)
            return [logits[0] * 1.001], taps

    register(Wrong)
    times["third"] = 1.0
    assert choose()[1] == "paddle"
    assert "computed by paddle; third: largest relative difference 1.0e-03 from paddle" in lines[-1]
    message = "^teacher_engine third: largest relative difference 1.0e-03 from paddle, more than 1e-04"
    with pytest.raises(UserError, match=message):
        choose("third")


def test_an_engine_that_fails_is_not_chosen(register, times, lines):
    class Failing(Third):
        def __call__(self, images):
            raise RuntimeError("no\nkernel")

    register(Failing)
    assert choose()[1] == "paddle"
    assert lines[-1] == "teacher: computed by paddle; third: it fails: no kernel"


@pytest.mark.parametrize("outputs", ["nan", "always the first ones"])
def test_outputs_that_do_not_depend_on_the_images_agree_with_nothing(outputs):
    engine = Teacher(tiny.TinyNet()).engine
    first = [paddle.full([2], float("nan"))] if outputs == "nan" else engine(IMAGES)[0]
    reference = Reference((lambda images: (first, {})) if outputs == "nan" else engine, IMAGES)
    assert not reference.agrees(lambda images: (first, {}))


@pytest.mark.parametrize("place", ["logits", "tap", "mirrored images"])
def test_nan_in_any_tensor_is_a_disagreement(place):
    expected = [paddle.ones([2]), paddle.ones([2])], {"a": paddle.ones([2])}
    reference = Reference(lambda images: expected, IMAGES)
    calls = []

    def engine(images):
        calls.append(images)
        logits, taps = list(expected[0]), dict(expected[1])
        if place == "logits":
            logits[1] = logits[1] * float("nan")
        elif place == "tap" or len(calls) == 2:
            taps["a"] = taps["a"] * float("nan")
        return logits, taps

    assert np.isnan(reference.difference(engine))
    assert not reference.agrees(engine)


class Unconvertible(tiny.TinyNet):
    def forward(self, x):
        return super().forward(paddle.to_tensor(np.sort(x.numpy(), axis=-1)))


class AbortingConversion(tiny.TinyNet):
    def forward(self, x):
        return super().forward(x - x.mean())


@converts
@pytest.mark.parametrize("model", [Unconvertible, AbortingConversion])
def test_a_teacher_that_cannot_be_exported_stays_with_paddle(times, lines, model):
    times["onnxruntime"] = 1.0
    assert choose(model=model())[1] == "paddle"
    assert "teacher: computed by paddle; onnxruntime: " in lines[-1]
    with pytest.raises(UserError, match="^teacher_engine onnxruntime: "):
        choose("onnxruntime", model=model())


@pytest.mark.parametrize(
    ("change", "message"),
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
def test_where_onnxruntime_cannot_compute_auto_stays_with_paddle(monkeypatch, times, lines, change, message):
    place, value = change
    if place == "sys.modules":
        monkeypatch.setitem(sys.modules, *next(iter(value.items())))
    else:
        monkeypatch.setattr(place, value)
    times["onnxruntime"] = 1.0
    assert choose()[1] == "paddle"
    assert message in lines[-1]
    with pytest.raises(UserError, match=f"^teacher_engine onnxruntime: .*{message}"):
        choose("onnxruntime")


def test_another_engine_is_not_tried_for_a_few_quick_passes(home, lines):
    assert choose_engines([Teacher(tiny.TinyNet())], IMAGES, 4) == {CHOSEN: "paddle"}
    assert re.fullmatch(
        r"teacher: computed by paddle; its forward passes take 0\.\d s in the whole run \(4 of them\), .*",
        lines[-1],
    )
    assert not home.exists()


def test_a_run_that_goes_on_keeps_its_engine_without_timing(register, times):
    register(Third)
    times["third"] = 3.0
    assert choose(recorded={CHOSEN: "third"})[1] == "third"
    times["third"] = 1.0
    assert choose(recorded={CHOSEN: "paddle"})[1] == "paddle"
    assert choose("paddle", recorded={CHOSEN: "third"})[1] == "paddle"


def test_no_engine_is_chosen_for_a_teacher_only_model(times):
    teacher = Teacher(tiny.TinyNet())
    teacher.teacher_only = True
    assert choose_engines([teacher], IMAGES, MANY, "onnxruntime") == {}
    assert teacher.engine.name == "paddle"


@pytest.mark.parametrize(
    ("name", "nearest"), [("onxruntime", "did you mean 'onnxruntime'"), ("xyz", "there are 'auto', 'onnx")]
)
def test_an_unknown_engine_is_refused_with_the_nearest_names(name, nearest):
    for known in ("auto", "paddle", "onnxruntime"):
        check_engine(known)
    with pytest.raises(UserError, match=f"^teacher_engine: unknown engine '{name}'; {nearest}"):
        check_engine(name)
