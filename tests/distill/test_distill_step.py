"""What a step of distillation adds up, of outputs and features, and what it trains."""

import distilling
import numpy as np
import paddle
import pytest
import tiny
from stepping import BATCH, SHAPE, Body, confidences, feature, log_softmax, make_net, make_step, section

from paddleseg.distill.feature_loss import FeatureLoss
from paddleseg.distill.features import Schedule
from paddleseg.distill.teachers import Teacher, Teachers
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, KLLoss
from paddleseg.losses.combine import output_list


def feature_loss(loss="L2Loss", **changes):
    return FeatureLoss(feature(loss, **changes), SHAPE, SHAPE)


def test_the_losses_are_those_of_the_formulas(models):
    student, teacher = models
    losses = [feature_loss("SegChannelwiseLoss", weight=5)]
    task = section(CrossEntropyLoss(), coef=2)
    step = make_step(student, [teacher], losses, section(KLLoss(), coef=3), loss=task)
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
    student, teacher = models
    assert set(make_step(student, [teacher])(BATCH)) == {"loss", "CrossEntropyLoss"}
    features_only = make_step(student, [teacher], [feature_loss()])(BATCH)
    assert set(features_only) == {"loss", "CrossEntropyLoss", "hidden_0_L2Loss"}
    logits_only = make_step(student, [teacher], [], section(KLLoss()))(BATCH)
    assert set(logits_only) == {"loss", "CrossEntropyLoss", "KLLoss"}


def test_every_parameter_of_the_student_and_none_of_the_teacher_gets_a_gradient(models):
    student, teacher = models
    make_step(student, [teacher], [feature_loss()], section(KLLoss()))(BATCH)["loss"].backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in student.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in teacher.parameters())


def test_a_loss_of_the_same_name_in_both_sections_counts_twice(models):
    class Far(paddle.nn.Layer):
        def forward(self, student, other):
            return (student.mean() * 0 + other.astype("float32").mean() * 0) + 7.0

    student, teacher = models
    step = make_step(student, [teacher], [], section(Far()), loss=section(Far()))
    losses = {name: float(value) for name, value in step(BATCH).items()}
    assert losses == {"loss": 14.0, "Far": 7.0, "distill_Far": 7.0}


class MeanGap(paddle.nn.Layer):
    """The mean difference, which shows which two outputs are compared."""

    def forward(self, student, teacher):
        return (student - teacher).mean()


# The number of outputs of the student, of the teacher, and of the pairs that are compared.
@pytest.mark.parametrize(
    ("outputs", "teacher_outputs", "pairs"), [(1, 1, 1), (3, 3, 3), (3, 1, 1), (1, 2, 1), (3, 2, 1)]
)
def test_outputs_are_compared_with_their_counterparts(outputs, teacher_outputs, pairs):
    student, teacher = tiny.TinyNet(outputs=outputs), tiny.TinyNet(outputs=teacher_outputs)
    student.eval()

    def parts(count):
        task = section(*[CrossEntropyLoss()] * outputs)
        return make_step(student, [teacher], [], section(*[MeanGap()] * count), loss=task)(BATCH)

    values = parts(pairs)
    gaps = [float(value) for name, value in values.items() if name.startswith("MeanGap")]
    compared = list(zip(student.logit_list, teacher.logit_list))[:pairs]
    assert gaps == pytest.approx([float((s - t).mean()) for s, t in compared], abs=1e-6)
    assert sum(name.startswith("CrossEntropyLoss") for name in values) == outputs
    shared = "1 output" if pairs == 1 else f"{pairs} outputs"
    message = f"student and teacher share {shared} and the config {pairs + 1} losses for them"
    with pytest.raises(UserError, match=message):
        parts(pairs + 1)


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
    with pytest.raises(UserError, match="Vector gives a tensor of shape"):
        make_step(student, [teacher], loss=section(Vector()))(BATCH)


def test_an_output_that_is_no_tensor_is_refused():
    with pytest.raises(UserError, match="must return a tensor or a list of tensors of logits, not dict"):
        output_list({"logits": paddle.zeros([1])})
    with pytest.raises(UserError, match="not an empty list"):
        output_list([])


def test_what_is_trained_beside_the_student_is_one_layer(models):
    student, teacher = models
    losses = [FeatureLoss(feature(loss), SHAPE, SHAPE, num_classes=2) for loss in ("L2Loss", "MemoryLoss")]
    step = make_step(student, [teacher], losses, section(distilling.MemoryLoss(2, 2, 2)))
    extra = step.trained.extra
    keys = ("conv.weight", "conv.bias", "seen")
    assert set(extra.state_dict()) == {*(f"0.loss.{key}" for key in keys), *(f"1.{key}" for key in keys)}
    assert make_net(student, losses[:1]).extra is None
    step(BATCH)["loss"].backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in extra.parameters())
    assert not set(student.state_dict()) & set(extra.state_dict())


def test_the_schedule_follows_the_iteration_of_the_batch(models):
    student, teacher = models
    losses = [feature_loss(schedule=Schedule(start_iter=2, warmup_iters=2))]
    step = make_step(student, [teacher], losses, weighting=None)
    values = [float(step({**BATCH, "iteration": i})["hidden_0_L2Loss"]) for i in (1, 2, 3, 4, 5)]
    assert values[:2] == [0, 0]
    assert values[3] == values[4] == pytest.approx(2 * values[2], rel=1e-6) != 0


@pytest.mark.parametrize(
    ("connector", "schedule", "unused"),
    [
        ("auto", {"end_iter": 9}, True),
        ("auto", {"warmup_iters": 9}, False),
        ("none", {"end_iter": 9}, False),
        ("auto", {"end_iter": 9, "end_factor": 0.1}, False),
    ],
)
def test_parameters_of_a_loss_that_is_left_out_are_unused(models, connector, schedule, unused):
    loss = feature("RKDLoss", connector=connector, schedule=Schedule(**schedule))
    net = make_net(models[0], [FeatureLoss(loss, SHAPE, [2, 7, 6, 5])])
    assert net.has_unused_parameters == unused


def test_images_without_a_label(models):
    student, teacher = models
    step = make_step(student, [teacher], [feature_loss()], section(KLLoss(), coef=3))
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
    weights = 0.5 if weighting == "mean" else confidences(z, BATCH["label"].numpy())
    np.testing.assert_allclose(logits[0].numpy(), (weights * z).sum(0), rtol=1e-5, atol=1e-6)
    assert [f["hidden_0"].shape[1] for f in features] == [4, 6]
    assert logits[0].stop_gradient

    loss = FeatureLoss(feature(teacher_index=1, connector="auto"), SHAPE, [2, 6, 6, 5])
    step = make_step(student, [first, second], [loss], weighting=None)
    assert float(step(BATCH)["hidden_0_L2Loss"]) > 0


def test_a_teacher_that_no_loss_uses_is_not_run(models):
    student, first = models
    calls = []
    second = tiny.TinyNet()
    for k, model in enumerate((first, second)):
        model.register_forward_pre_hook(lambda *_, k=k: calls.append(k))
    losses = [
        feature_loss(schedule=Schedule(start_iter=2)),
        feature_loss("L1Loss", teacher_index=1, schedule=Schedule(start_iter=1, end_iter=3)),
    ]
    for distill_loss, weighting, expected in (
        (None, None, [[], [1], [0, 1], [0]]),
        (section(KLLoss()), "mean", [[0, 1]] * 4),
    ):
        step = make_step(student, [first, second], losses, distill_loss, weighting)
        for iteration, teachers in enumerate(expected, 1):
            calls.clear()
            parts = step({**BATCH, "iteration": iteration})
            assert calls == teachers
            assert (float(parts["hidden_0_L2Loss"]) > 0) == (iteration > 2)


def test_keys_are_passed_to_the_teachers_alone(models):
    student, teacher = models
    step = make_step(student, [teacher], [], section(KLLoss()))
    passed = []
    at_head, net = step.teachers[0].at_head, step.net
    step.teachers[0].at_head = lambda images, keys=None: passed.append(keys) or at_head(images)
    step.net = lambda batch, *outputs: passed.append(sorted(batch)) or net(batch, *outputs)
    batch = {**BATCH, "keys": [[0, 1, 2], [0, 3, 4]]}
    step(batch)
    step(BATCH)
    assert passed == [batch["keys"], ["img", "iteration", "label"], None, ["img", "iteration", "label"]]
    assert "keys" in batch
