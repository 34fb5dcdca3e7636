import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.adaptor import Taps
from paddleseg.distill.features import FeatureLoss
from paddleseg.distill.step import DistillStep
from paddleseg.distill.teacher import Teacher
from paddleseg.errors import UserError
from paddleseg.models.losses import CrossEntropyLoss, KLLoss
from paddleseg.models.losses.combine import output_list


class Body(AdaptorBase):
    def mapping_layers(self):
        return {"hidden_0": "body.0"}


RNG = np.random.default_rng(11)
BATCH = {
    "img": paddle.to_tensor(RNG.standard_normal((2, 3, 6, 5)).astype("float32")),
    "label": paddle.to_tensor(RNG.integers(0, 2, (2, 6, 5))),
}


def log_softmax(x, axis):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


@pytest.fixture
def models():
    paddle.seed(4)
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    student.eval()
    return student, teacher


def make(student, teacher, distill_loss, features):
    loss = {"types": [CrossEntropyLoss()], "coef": [2]}
    losses = [FeatureLoss(feature) for feature in features]
    taps = Taps(student, Body, "student")
    return DistillStep(student, taps, Teacher(teacher, Body), loss, distill_loss, losses)


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
    step = DistillStep(student, Taps(student, Body, "student"), Teacher(teacher, Body), loss, loss, [])
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
    taps = Taps(student, Body, "student")
    return DistillStep(student, taps, Teacher(teacher, Body), loss, distill_loss, []), student, teacher


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
    told = rf"student and teacher share {losses} output\(s\) and the config has {losses + 1} loss\(es\)"
    with pytest.raises(UserError, match=told):
        step(BATCH)


@pytest.mark.parametrize("shape", [[3], [0]])
def test_a_loss_that_is_no_number_is_refused(models, shape):
    class Vector(paddle.nn.Layer):
        def forward(self, student, other):
            return paddle.zeros(shape)

    student, teacher = models
    loss = {"types": [Vector()], "coef": [1]}
    step = DistillStep(student, Taps(student, Body, "student"), Teacher(teacher, Body), loss, None, [])
    with pytest.raises(UserError, match="Vector gives a tensor of shape"):
        step(BATCH)


def test_an_output_that_is_no_tensor_is_refused():
    with pytest.raises(UserError, match="must return a tensor or a list of tensors of logits, not dict"):
        output_list({"logits": paddle.zeros([1])})
    with pytest.raises(UserError, match="not an empty list"):
        output_list([])
