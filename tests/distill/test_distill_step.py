"""What a step of distillation adds up, of outputs and features, and what it trains."""

import distilling
import numpy as np
import paddle
import pytest
import tiny
from stepping import BATCH, Body, log_softmax, make

from paddleseg.distill.declared import Feature, Schedule
from paddleseg.distill.features import FeatureLoss
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers.teacher import Teacher, Teachers
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, KLLoss
from paddleseg.losses.combine import output_list


def test_the_parts_are_those_of_the_formulas(models):
    student, teacher = models
    step = make(student, teacher, {"types": [KLLoss()], "coef": [3]}, [tiny.feature(weight=5)])
    losses = {name: float(value) for name, value in step(BATCH).items()}

    s, t = (m(BATCH["img"])[0].numpy().astype("float64") for m in (student, teacher))
    label = BATCH["label"].numpy()
    log_s, log_t = log_softmax(s, 1), log_softmax(t, 1)
    picked = np.take_along_axis(log_s, label[:, None], 1)
    fs, ft = (m.body[0](BATCH["img"]).numpy().astype("float64").reshape(2, 4, -1) / 4 for m in models)
    cs, ct = log_softmax(fs, 2), log_softmax(ft, 2)
    expected = {
        "CrossEntropyLoss": 2 * -picked.mean(),
        "KLLoss": 3 * (np.exp(log_t) * (log_t - log_s)).mean(),
        "hidden_0_SegChannelwiseLoss": 5 * 16 * (np.exp(ct) * (ct - cs)).sum(2).mean(),
    }
    expected["loss"] = sum(expected.values())
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert losses[name] == pytest.approx(value, rel=1e-5), name


def test_either_kind_of_distillation_may_be_left_out(models):
    assert set(make(*models, None, [])(BATCH)) == {"loss", "CrossEntropyLoss"}
    features_only = make(*models, None, [tiny.feature()])(BATCH)
    assert set(features_only) == {"loss", "CrossEntropyLoss", "hidden_0_SegChannelwiseLoss"}
    logits_only = make(*models, {"types": [KLLoss()], "coef": [1]}, [])(BATCH)
    assert set(logits_only) == {"loss", "CrossEntropyLoss", "KLLoss"}


def test_every_parameter_of_the_student_and_none_of_the_teacher_gets_a_gradient(models):
    student, teacher = models
    make(student, teacher, {"types": [KLLoss()], "coef": [1]}, [tiny.feature()])(BATCH)["loss"].backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in student.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in teacher.parameters())


def test_a_loss_of_the_same_name_in_both_sections_counts_twice(models):
    class Far(paddle.nn.Layer):
        def forward(self, student, other):
            return (student.mean() * 0 + other.astype("float32").mean() * 0) + 7.0

    student, teacher = models
    loss = {"types": [Far()], "coef": [1]}
    step = make(student, teacher, loss, [], loss)
    losses = {name: float(value) for name, value in step(BATCH).items()}
    assert losses == {"loss": 14.0, "Far": 7.0, "distill_Far": 7.0}


# Outputs of the student, of the teacher, and the number of losses between them that is right.
OUTPUTS = [(1, 1, 1), (3, 3, 3), (3, 1, 1), (1, 2, 1), (3, 2, 1)]


class MeanGap(paddle.nn.Layer):
    """Tells which two outputs it was given: the mean difference."""

    def forward(self, student, teacher):
        return (student - teacher).mean()


def step_of_outputs(outputs, teacher_outputs, losses):
    """Return a step whose models have as many outputs, and the two models."""
    student, teacher = tiny.TinyNet(outputs=outputs), tiny.TinyNet(outputs=teacher_outputs)
    student.eval()
    loss = {"types": [CrossEntropyLoss()] * outputs, "coef": [1] * outputs}
    distill_loss = {"types": [MeanGap()] * losses, "coef": [1] * losses}
    return make(student, teacher, distill_loss, [], loss), student, teacher


@pytest.mark.parametrize(("outputs", "teacher_outputs", "losses"), OUTPUTS)
def test_outputs_are_compared_with_their_counterparts(outputs, teacher_outputs, losses):
    step, student, teacher = step_of_outputs(outputs, teacher_outputs, losses)
    parts = step(BATCH)
    gaps = [float(value) for name, value in parts.items() if name.startswith("MeanGap")]
    pairs = list(zip(student.logit_list, teacher.logit_list))[:losses]
    assert gaps == pytest.approx([float((s - t).mean()) for s, t in pairs], abs=1e-6)
    assert sum(name.startswith("CrossEntropyLoss") for name in parts) == outputs


@pytest.mark.parametrize(("outputs", "teacher_outputs", "losses"), OUTPUTS)
def test_there_must_be_a_loss_for_each_two_outputs(outputs, teacher_outputs, losses):
    step, *_ = step_of_outputs(outputs, teacher_outputs, losses + 1)
    outputs = "1 output" if losses == 1 else f"{losses} outputs"
    told = f"student and teacher share {outputs} and the config {losses + 1} losses for them"
    with pytest.raises(UserError, match=told):
        step(BATCH)


def test_auxiliary_outputs_that_not_all_teachers_have_are_left_out(models):
    _, teacher = models
    other = tiny.TinyNet(outputs=2)
    (joined,), _ = Teachers([Teacher(teacher), Teacher(other)])(BATCH["img"])
    expected = (teacher(BATCH["img"])[0] + other(BATCH["img"])[0]) / 2
    np.testing.assert_allclose(joined.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [[3], [0]])
def test_a_loss_that_is_no_number_is_refused(models, shape):
    class Vector(paddle.nn.Layer):
        def forward(self, student, other):
            return paddle.zeros(shape)

    student, teacher = models
    loss = {"types": [Vector()], "coef": [1]}
    step = make(student, teacher, None, [], loss)
    with pytest.raises(UserError, match="Vector gives a tensor of shape"):
        step(BATCH)


def test_an_output_that_is_no_tensor_is_refused():
    with pytest.raises(UserError, match="must return a tensor or a list of tensors of logits, not dict"):
        output_list({"logits": paddle.zeros([1])})
    with pytest.raises(UserError, match="not an empty list"):
        output_list([])


def declare(step_features, **changes):
    """Return `Feature`s of a config, each a keyword dict, with what `changes` say."""
    whole = {"student": "hidden_0", "teacher": "hidden_0", "place": lambda *keys: "c.yml", **changes}
    return [Feature(**{**whole, **feature}) for feature in step_features]


def test_what_is_trained_beside_the_student_is_one_layer(models):
    student, teacher = models
    shape = [2, 4, 6, 5]
    features = declare([{"loss": {"type": "L2Loss"}}, {"loss": {"type": "MemoryLoss"}}])
    losses = [FeatureLoss(feature, shape, shape, num_classes=2) for feature in features]
    loss = {"types": [CrossEntropyLoss()], "coef": [1]}
    taps = Taps(student, "student", Body)
    distill_loss = {"types": [distilling.MemoryLoss(2, 2, 2)], "coef": [1]}
    net = DistillNet(student, taps, loss, distill_loss, losses)
    assert set(net.extra.state_dict()) == {
        *(f"0.loss.{key}" for key in ("conv.weight", "conv.bias", "seen")),
        *(f"1.{key}" for key in ("conv.weight", "conv.bias", "seen")),
    }
    assert DistillNet(student, taps, loss, None, losses[:1]).extra is None
    step = DistillStep(net, Teachers([Teacher(teacher, Body)]), net.extra)
    step(BATCH)["loss"].backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in net.extra.parameters())
    assert not set(student.state_dict()) & set(net.extra.state_dict())


def test_the_schedule_follows_the_iteration_of_the_batch(models):
    student, teacher = models
    shape = [2, 4, 6, 5]
    (feature,) = declare([{"loss": {"type": "L2Loss"}, "schedule": Schedule(start_iter=2, warmup_iters=2)}])
    loss = {"types": [CrossEntropyLoss()], "coef": [1]}
    net = DistillNet(
        student, Taps(student, "student", Body), loss, None, [FeatureLoss(feature, shape, shape)]
    )
    step = DistillStep(net, Teachers([Teacher(teacher, Body)], None))
    values = [float(step({**BATCH, "iteration": i})["hidden_0_L2Loss"]) for i in (1, 2, 3, 4, 5)]
    assert values[:2] == [0, 0]
    assert values[3] == values[4] == pytest.approx(2 * values[2], rel=1e-6) != 0


def test_a_part_that_rests_is_known_where_it_has_parameters(models):
    student, _ = models
    shapes = [2, 4, 6, 5], [2, 7, 6, 5]
    taps = Taps(student, "student", Body)

    def may_rest(connector, **schedule):
        (feature,) = declare(
            [{"loss": {"type": "RKDLoss"}, "connector": connector}], schedule=Schedule(**schedule)
        )
        return DistillNet(student, taps, {}, None, [FeatureLoss(feature, *shapes)]).may_rest

    assert may_rest("auto", end_iter=9)
    assert not may_rest("auto", warmup_iters=9)
    assert not may_rest("none", end_iter=9)
    assert not may_rest("auto", end_iter=9, end_factor=0.1)


def test_images_without_a_label(models):
    student, teacher = models
    step = make(student, teacher, {"types": [KLLoss()], "coef": [3]}, [tiny.feature(loss_function="L2Loss")])
    partly = step({**BATCH, "label": BATCH["label"][:1]})
    alone = step({"img": BATCH["img"][:1], "label": BATCH["label"][:1], "iteration": 1})
    whole = step(BATCH)
    assert float(partly["CrossEntropyLoss"]) == pytest.approx(float(alone["CrossEntropyLoss"]), rel=1e-6)
    for name in ("KLLoss", "hidden_0_L2Loss"):
        assert float(partly[name]) == pytest.approx(float(whole[name]), rel=1e-6)
    without = step({"img": BATCH["img"], "iteration": 1})
    assert set(without) == {"loss", "KLLoss", "hidden_0_L2Loss"}
    assert float(without["KLLoss"]) == pytest.approx(float(whole["KLLoss"]), rel=1e-6)


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_several_teachers_logits_are_joined_and_features_are_their_own(models, weighting):
    student, first = models
    second = tiny.TinyNet(width=6)
    teachers = [Teacher(first, Body), Teacher(second, Body)]
    logits, features = Teachers(teachers, weighting)(BATCH["img"], BATCH["label"])
    z = np.stack([model(BATCH["img"])[0].numpy() for model in (first, second)]).astype("float64")
    weights = np.full((2, 2, 1, 6, 5), 0.5)
    if weighting == "confidence":
        p = np.exp(log_softmax(z, 2))
        true = np.take_along_axis(p, np.broadcast_to(BATCH["label"].numpy()[None, :, None], weights.shape), 2)
        weights = true / true.sum(0)  # what the formula is for two
    np.testing.assert_allclose(logits[0].numpy(), (weights * z).sum(0), rtol=1e-5, atol=1e-6)
    assert [f["hidden_0"].shape[1] for f in features] == [4, 6]
    assert logits[0].stop_gradient

    (feature,) = declare([{"loss": {"type": "L2Loss"}, "teacher_index": 1, "connector": "auto"}])
    loss = FeatureLoss(feature, [2, 4, 6, 5], [2, 6, 6, 5])
    task = {"types": [CrossEntropyLoss()], "coef": [1]}
    net = DistillNet(student, Taps(student, "student", Body), task, None, [loss])
    assert float(DistillStep(net, Teachers(teachers, None))(BATCH)["hidden_0_L2Loss"]) > 0


def test_a_teacher_that_nobody_asks_is_not_run(models):
    student, first = models
    calls = []
    second = tiny.TinyNet()
    for k, model in enumerate((first, second)):
        model.register_forward_pre_hook(lambda *_, k=k: calls.append(k))
    features = declare(
        [{"loss": {"type": "L2Loss"}}, {"loss": {"type": "L1Loss"}, "teacher_index": 1}],
        schedule=Schedule(start_iter=1, end_iter=3),
    )
    features[0] = declare([{"loss": {"type": "L2Loss"}}], schedule=Schedule(start_iter=2))[0]
    losses = [FeatureLoss(feature, [2, 4, 6, 5], [2, 4, 6, 5]) for feature in features]
    loss = {"types": [CrossEntropyLoss()], "coef": [1]}
    taps = Taps(student, "student", Body)
    teachers = [Teacher(first, Body), Teacher(second, Body)]
    for distill_loss, weighting, expected in (
        (None, None, [[], [1], [0, 1], [0]]),
        ({"types": [KLLoss()], "coef": [1]}, "mean", [[0, 1]] * 4),
    ):
        net = DistillNet(student, taps, loss, distill_loss, losses)
        step = DistillStep(net, Teachers(teachers, weighting), net.extra, features)
        for iteration, asked in enumerate(expected, 1):
            calls.clear()
            parts = step({**BATCH, "iteration": iteration})
            assert calls == asked
            assert (float(parts["hidden_0_L2Loss"]) > 0) == (iteration > 2)


def test_keys_are_handed_to_the_teachers_and_to_nobody_else(models):
    student, teacher = models
    step = make(student, teacher, {"types": [KLLoss()], "coef": [3]}, [])
    given = []
    at_head, net = step.teachers.teachers[0].at_head, step.net

    def keep(images, keys=None):
        given.append(keys)
        return at_head(images)

    step.teachers.teachers[0].at_head = keep
    step.net = lambda batch, *answers: given.append(sorted(batch)) or net(batch, *answers)
    batch = {**BATCH, "keys": [[0, 1, 2], [0, 3, 4]]}
    step(batch)
    step(BATCH)
    assert given == [batch["keys"], ["img", "iteration", "label"], None, ["img", "iteration", "label"]]
    assert "keys" in batch
