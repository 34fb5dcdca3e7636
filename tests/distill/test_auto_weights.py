"""Weights that are measured: their formula, what trains by them, resuming, and refusals."""

import json
import os

import distilling
import numpy as np
import paddle
import pytest
import tiny
from running import arrays, assert_same
from stepping import BATCH, RNG, log_softmax, make_step, section

from paddleseg.distill import AdaptorBase
from paddleseg.distill.feature_loss import FeatureLoss
from paddleseg.distill.features import AdaptorName, Feature
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers import Teacher, Teachers
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, FitNetLoss, KLLoss
from paddleseg.training import update

LOGITS, FEATURE = "distill_loss.coef.0", "distill.features.hidden_0_FitNetLoss"
OTHER = {
    "img": paddle.to_tensor(RNG.standard_normal((2, 3, 6, 5)).astype("float32")),
    "label": paddle.to_tensor(RNG.integers(0, 2, (2, 6, 5))),
    "iteration": 2,
}


class Last(AdaptorBase):
    """Names the map that the classifier takes."""

    def mapping_layers(self):
        return {"hidden_0": "body"}


def automatic(loss=None, share=1.0):
    return {**section(loss or KLLoss()), "coef": ["auto"], "share": share}


def step_with_feature(student, teacher, share=1.0, task=None):
    """Return a `DistillStep` whose logits and last maps are compared with weights that are measured."""
    hidden, place = AdaptorName("hidden_0"), lambda *keys: "c.yml"
    fitnet = {"type": "FitNetLoss"}
    feature = Feature(hidden, hidden, fitnet, weight="auto", share=share, connector="none", place=place)
    loss = FeatureLoss(feature, [2, 4, 6, 5], [2, 4, 6, 5])
    taps = Taps(student, "student", Last)
    net = DistillNet(student, taps, section(task or CrossEntropyLoss(), coef=0.4), automatic(), [loss])
    return DistillStep(net, Teachers([Teacher(teacher, Last)]))


def measured(step, *batches, scaled=lambda loss: loss):
    for batch in batches:
        step.measure(batch, scaled)
    step.settle()
    return step.measured()


def expected(student, teacher, batches):
    """Return the weights of `step_with_feature` in NumPy, from the gradients as they are on paper."""
    norms = {name: [] for name in ("task", "kl", "task at map", "fitnet")}
    weight = student.heads[0].weight.numpy()[:, :, 0, 0].astype("float64")
    for batch in batches:
        z, t = (model(batch["img"])[0].numpy().astype("float64") for model in (student, teacher))
        s, f = (model.body(batch["img"]).numpy().astype("float64") for model in (student, teacher))
        q, p = (np.exp(log_softmax(x, 1)) for x in (z, t))
        truth = np.stack([batch["label"].numpy() == c for c in range(2)], axis=1)
        pixels = truth.size / 2
        of_task = 0.4 * (q - truth) / pixels
        gradients = {
            "task": of_task,
            "kl": (q - p) / pixels / 2,
            "task at map": np.einsum("nchw,cd->ndhw", of_task, weight),
            "fitnet": 2 * (s - f) / s.size,
        }
        for name, gradient in gradients.items():
            norms[name].append(np.sqrt((gradient**2).sum()))
    total = {name: np.sum(values) for name, values in norms.items()}
    return {LOGITS: total["task"] / total["kl"], FEATURE: total["task at map"] / total["fitnet"]}


def test_weights_equal_the_formula(models):
    student, teacher = models
    step = step_with_feature(student, teacher)
    values = measured(step, BATCH, OTHER)
    for key, value in expected(student, teacher, [BATCH, OTHER]).items():
        assert values[key] == pytest.approx(value, rel=5e-4)  # four digits are kept
        assert values[key] == float(f"{values[key]:.4g}")


def test_a_loss_trains_by_its_measured_weight(models):
    step = step_with_feature(*models)
    values = measured(step, BATCH)
    weighted = step(BATCH)
    logits, features = step._teachers(BATCH["img"], BATCH["label"])
    student = models[0]
    kl = KLLoss()(student(BATCH["img"])[0], logits[0], BATCH["label"])
    fitnet = FitNetLoss()(student.body(BATCH["img"]), features[0]["hidden_0"])
    assert float(weighted["KLLoss"]) == pytest.approx(values[LOGITS] * float(kl), rel=1e-5)
    name = "hidden_0_FitNetLoss"
    assert float(weighted[name]) == pytest.approx(values[FEATURE] * float(fitnet), rel=1e-5)


def test_the_share_multiplies_a_weight(models):
    whole = measured(step_with_feature(*models), BATCH)
    half = measured(step_with_feature(*models, share=0.5), BATCH)
    assert half[FEATURE] == pytest.approx(whole[FEATURE] / 2, rel=1e-4)
    assert half[LOGITS] == whole[LOGITS]


def test_a_loss_scale_changes_nothing(models):
    weights = [measured(step_with_feature(*models), BATCH, scaled=lambda x, s=s: x * s) for s in (1, 1024.0)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("at", ["full", "head"])
def test_logits_are_measured_before_the_last_upsampling(at):
    paddle.seed(3)
    student, teacher = tiny.StridedNet(stride=2), tiny.StridedNet(stride=2)
    step = make_step(student, [teacher], [], automatic(share=0.7), logits_at=at)
    (weight,) = measured(step, BATCH).values()
    losses = step(BATCH)
    assert losses["KLLoss"].item() > 0
    task, kl = (
        paddle.grad(losses[name], student.head_logit_list[0], retain_graph=True)[0].norm().item()
        for name in ("CrossEntropyLoss", "KLLoss")
    )
    assert kl == pytest.approx(0.7 * task, rel=1e-4)
    assert weight > 0


@pytest.mark.parametrize("broken", ["task", "loss"])
def test_a_batch_without_finite_gradients_does_not_count(models, broken):
    step = step_with_feature(*models)
    weights = step.trained.auto_weights
    weights.add({LOGITS: (4.0, 2.0), FEATURE: (3.0, 1.0)})
    numbers = (float("nan"), 1.0) if broken == "task" else (1.0, float("inf"))
    weights.add({LOGITS: numbers, FEATURE: (6.0, 2.0)})
    step.settle()
    assert step.measured() == {LOGITS: 2.0, FEATURE: 3.0}


@pytest.mark.parametrize(
    ("norms", "problem"),
    [
        ((1.0, 0.0), "KLLoss of output 0 has no finite gradient other than 0"),
        ((0.0, 1.0), "the task's loss has no finite gradient other than 0"),
        ((float("nan"), 1.0), "the task's loss has no finite gradient other than 0"),
        ((None, 1.0), "the task's loss does not depend on"),
        ((1e300, 1e-300), r"the gradient of KLLoss of output 0 is 1e-300 and the task's 1e\+300"),
    ],
)
def test_gradients_that_give_no_weight_are_refused(models, norms, problem):
    weights = step_with_feature(*models).trained.auto_weights
    weights.add({LOGITS: norms, FEATURE: (1.0, 1.0)})
    with pytest.raises(UserError, match=rf"distill_loss.coef.0: auto finds no weight: {problem}.*a number"):
        weights.settle()


def test_a_student_that_equals_its_teacher_has_no_gradient_to_weigh(models):
    student, teacher = models
    teacher.set_state_dict(student.state_dict())
    with pytest.raises(UserError, match="has no finite gradient other than 0 at the student's logits 0"):
        measured(make_step(student, [teacher], [], automatic()), BATCH)


def test_weights_of_a_checkpoint_are_taken_only_if_they_are_all_there(models):
    step = step_with_feature(*models)
    step.take_measured({LOGITS: 2.0})
    assert step.unmeasured
    step.take_measured({LOGITS: 2.0, FEATURE: 3.0, "another": 1.0})
    assert not step.unmeasured
    assert step.measured() == {LOGITS: 2.0, FEATURE: 3.0}
    assert step.trained.distill_loss["coef"] == [2.0]


def config_of(root, **changes):
    """Return a config with dropout, random masks, a buffer, and a connector that rests at first."""
    dic = tiny.config(root, model={"type": "TinyNet", "num_classes": 2, "dropout": 0.3}, iters=6)
    features = [
        distilling.feature("body.0", {"type": "MGDLoss", "alpha": 1.0}, weight="auto", share=0.2),
        distilling.feature("body.0", "MemoryLoss", weight=0.1),
        distilling.feature(
            "body.1",
            "FitNetLoss",
            weight="auto",
            schedule={"start_iter": 2},
            connector={"type": "ConvConnector"},
        ),
    ]
    dic.update(imports=["tiny", "distilling"], distill={"features": features})
    dic["distill_loss"] = {"types": [{"type": "KLLoss"}], "coef": "auto"}
    return {**dic, **changes}


def state(folder, iteration):
    with open(os.path.join(folder, f"iter_{iteration}", "state.json"), encoding="utf-8") as file:
        return json.load(file)


def with_numbers(dic, values):
    """Return a config with the measured weights in place of `auto`."""
    first, second = (value for key, value in values.items() if key != LOGITS)
    one, two, three = dic["distill"]["features"]
    one, three = {**one, "weight": first}, {**three, "weight": second}
    one.pop("share")
    section_of_logits = {**dic["distill_loss"], "coef": [values[LOGITS]]}
    return {**dic, "distill": {"features": [one, two, three]}, "distill_loss": section_of_logits}


OPTIONS = {
    "plain": {},
    "accumulated": {"accumulate_steps": 2, "batch_size": 2},
    "cache": {"teacher_cache": "cache", "cache_views": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_run_equals_one_with_the_weights_that_it_logs(options, tmp_path, root, teacher, lines):
    options = dict(options)
    if "teacher_cache" in options:
        options["teacher_cache"] = str(tmp_path / "cache")
    dic, teachers = config_of(root), [teacher()]
    run = distilling.distill(tmp_path, dic, teachers, "auto", no_eval=True, **options)
    values = state(run, 6)["measured"]
    logged = [line for line in lines if "auto is" in line]
    for (key, value), line in zip(values.items(), logged):
        place = "distill_loss.coef" if key == LOGITS else ".weight"
        assert f"{place}: auto is {value:g}: " in line
    assert len(values) == len(logged) == 3
    fixed = distilling.distill(
        tmp_path, with_numbers(dic, values), teachers, "fixed", no_eval=True, **options
    )
    assert state(fixed, 6)["measured"] == {}
    for name in ("model.pdparams", "model.pdopt", "extra.pdparams"):
        one, other = (tiny.flat_arrays(os.path.join(folder, "iter_6", name)) for folder in (run, fixed))
        assert one.keys() == other.keys()
        assert all((one[key] == other[key]).all() for key in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, root):
    """Return (config, its teachers, the folder of its run without a stop)."""
    folder = tmp_path_factory.mktemp("whole")
    dic = config_of(root)
    teachers = [distilling.write_teacher(folder, {"type": "TinyNet", "num_classes": 2})]
    return dic, teachers, distilling.distill(folder, dic, teachers, "whole", no_eval=True)


class Killed(BaseException):
    """Ends a training as a signal would that nobody handles."""


@pytest.mark.parametrize(
    ("method", "call"), [("measure", 1), ("measure", 4), ("__call__", 1), ("__call__", 4)]
)
def test_a_run_that_was_killed_ends_with_the_same_weights(method, call, whole, tmp_path, monkeypatch):
    dic, teachers, never_stopped = whole
    original, calls = getattr(update.Update, method), []

    def killing(self, *arguments):
        calls.append(method)
        if len(calls) == call:
            raise Killed
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(update.Update, method, killing)
        with pytest.raises(Killed):
            distilling.distill(tmp_path, dic, teachers, no_eval=True)
    rest = distilling.distill(tmp_path, dic, teachers, no_eval=True, resume_model="auto")
    assert_same(arrays(rest, "iter_6"), arrays(never_stopped, "iter_6"))
    assert state(rest, 6)["measured"] == state(never_stopped, 6)["measured"]


def test_a_resumed_run_takes_the_weights_of_its_checkpoint(whole, tmp_path, lines):
    dic, teachers, never_stopped = whole
    checkpoint = os.path.join(never_stopped, "iter_2")
    rest = distilling.distill(tmp_path, dic, teachers, no_eval=True, resume_model=checkpoint)
    assert not [line for line in lines if "measuring" in line or "has a norm" in line]
    assert len([line for line in lines if line.endswith(", as measured before")]) == 3
    assert state(rest, 6)["measured"] == state(never_stopped, 2)["measured"]
    assert_same(arrays(rest, "iter_6"), arrays(never_stopped, "iter_6"))


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="features in static graphs need Paddle 3")
def test_a_static_graph_is_measured_without_it(distill, teacher):
    dic = {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": "auto"}}
    feature = distilling.feature("body.0", "FitNetLoss", weight="auto")
    values = []
    for static in (False, True):
        options = {"to_static_training": static}
        folder = distill(feature, teachers=[teacher()], name=f"run_{static}", options=options, iters=2, **dic)
        values.append(state(folder, 2)["measured"])
    assert values[0] == values[1]


BARE = {"distill_config": None}  # whose adaptors name layers of a `TinyNet`


def under_a_map(student, **more):
    """Return a feature of a student's tap and a `TinyNet`'s map, with a weight that is measured."""
    return {
        **distilling.feature(student, "FitNetLoss", weight="auto", connector="auto"),
        "teacher": "body.0",
        **more,
    }


@pytest.mark.parametrize("conv_engine", ["paddle", "auto"])
def test_a_tensor_before_more_convolutions_is_measured(distill, conv_engine):
    backbone = {"type": "MobileNetV2_x0_25"}
    model = {"type": "DeepLabV3P", "num_classes": 2, "aspp_out_channels": 8, "backbone": backbone}
    feature = under_a_map({"output_of": "backbone", "index": 3})
    folder = distill(feature, model=model, options={**BARE, "conv_engine": conv_engine}, iters=1)
    assert list(state(folder, 1)["measured"]) == ["distill.features.backbone_3_FitNetLoss"]


@pytest.mark.parametrize("stated", [{}, {"grid": "auto"}], ids=["the model says the grid", "auto"])
def test_tokens_are_measured_as_their_map(distill, stated):
    model = {"type": "TinyTransformer", "num_classes": 2, "says_grid": not stated}
    values = []
    for name, feature in (
        ("tokens", under_a_map("block", **stated)),
        ("map", under_a_map({"input_of": "classify"})),
    ):
        folder = distill(feature, model=model, name=name, options=BARE, iters=1)
        values += state(folder, 1)["measured"].values()
    assert values[0] == values[1]


def test_auto_serves_as_many_outputs_as_are_compared(distill, teacher):
    dic = {"types": [{"type": "KLLoss"}], "coef": "auto", "share": 2}
    losses = {"types": [{"type": "CrossEntropyLoss"}], "coef": [1, 0.4]}
    model = {"type": "TinyNet", "num_classes": 2, "outputs": 2}
    for outputs in (1, 2):
        folder = distill(
            teachers=[teacher(f"teacher{outputs}", outputs=outputs)],
            name=f"run_{outputs}",
            model=model,
            loss=losses,
            distill_loss=dic,
            iters=2,
        )
        assert len(state(folder, 2)["measured"]) == outputs


def test_a_distill_config_may_say_auto(distill):
    item = tiny.feature(loss_function="FitNetLoss", weight="auto", share=0.5)
    folder = distill(distill_file=[item], iters=2)
    assert list(state(folder, 2)["measured"]) == ["distill.features.hidden_0_FitNetLoss"]


def test_a_tap_that_the_task_does_not_use_is_refused(distill):
    feature = distilling.feature(loss="FitNetLoss", weight="auto")
    feature["student"] = feature["teacher"] = {"attr": "mixed"}
    message = (
        r"run.yml:\d+: distill.features.0.weight: auto finds no weight: the task's loss does not "
        r"depend on the student's \{attr: mixed\}; write a number instead"
    )
    with pytest.raises(UserError, match=message):
        distill(feature)
