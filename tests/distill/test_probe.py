"""What the one forward pass before training finds wrong, and that it changes nothing."""

import dataclasses

import numpy as np
import paddle
import pytest
import tiny
from stepping import Body, feature

from paddleseg.cvlibs import manager
from paddleseg.distill.connectors import ConvConnector
from paddleseg.distill.features import AdaptorName
from paddleseg.distill.probe import check_logits, feature_losses, observe, try_distill_loss
from paddleseg.distill.taps import Tap, Taps
from paddleseg.distill.teachers import Teacher
from paddleseg.errors import UserError
from paddleseg.losses import KLLoss, MGDLoss, SegChannelwiseLoss


def probe(student, teacher, *features):
    """Probe two models for some `Feature`s."""
    taps = Taps(student, "student", Body)
    observed = observe(student, taps, [Teacher(teacher, Body)], {"img": paddle.randn([2, 3, 8, 8])})
    check_logits(observed)
    feature_losses(features, observed)


def probe_at_head(student, teacher):
    """Probe two models whose heads are compared; return what was observed."""
    images = paddle.randn([2, 3, 8, 12])
    observed = observe(student, Taps(student, "student"), [Teacher(teacher)], {"img": images}, "head")
    check_logits(observed, "head")
    return observed


class TrainingOutput(tiny.TinyNet):
    """Has a second output in training alone, and another layer that runs in evaluation alone."""

    def __init__(self):
        super().__init__(outputs=2, dropout=0.5)
        self.deployed = paddle.nn.ReLU()

    def forward(self, x):
        outputs = super().forward(x)
        return outputs if self.training else [self.deployed(outputs[0])]


def test_the_student_is_observed_in_training_mode_and_left_as_it_was():
    student, teacher = TrainingOutput(), Teacher(tiny.TinyNet(dropout=0.5))
    student.eval()
    student.body.train()
    before = {k: v.numpy() for k, v in student.state_dict().items()}
    batch = {"img": paddle.randn([2, 3, 8, 8])}
    draws = []
    for tap in (None, Tap("output_of", "heads.1")):
        paddle.seed(7)
        np.random.seed(7)
        if tap is not None:
            observed = observe(student, Taps(student, "student", None, [(tap, "c.yml")]), [teacher], batch)
            logits, tensors = observed.student
            assert tensors[tap].shape == [2, 2, 8, 8]
            assert tensors[tap].stop_gradient
            assert len(logits) == 2
        draws.append((float(paddle.rand([1])), np.random.rand()))
    assert draws[0] == draws[1]
    assert all((v.numpy() == before[k]).all() for k, v in student.state_dict().items())
    assert [layer.training for layer in (student, student.body, student.dropout)] == [False, True, False]
    taps = Taps(student, "student", None, [(Tap("output_of", "deployed"), "c.yml")])
    with pytest.raises(UserError, match="does not run 'deployed'"):
        observe(student, taps, [teacher], batch)


def test_trying_the_losses_leaves_no_gradient():
    student = tiny.TinyNet()
    before = {k: v.numpy() for k, v in student.state_dict().items()}
    probe(student, tiny.TinyNet(), feature("SegChannelwiseLoss"), feature("RKDLoss"))
    assert student.training
    assert all((v.numpy() == before[k]).all() for k, v in student.state_dict().items())
    assert all(p.grad is None for p in student.parameters())


@pytest.mark.parametrize("outputs", [1, 2])
def test_other_classes_are_refused(outputs):
    with pytest.raises(UserError, match="output 0 of the student has 2 classes and the teacher's 3"):
        probe(tiny.TinyNet(), tiny.TinyNet(num_classes=3, outputs=outputs))


def test_auxiliary_outputs_without_counterpart_and_bare_tensors_are_accepted():
    probe(tiny.TinyNet(outputs=3), tiny.TinyNet())
    probe(tiny.TinyNet(), tiny.TinyNet(outputs=2))
    probe(tiny.BareNet(), tiny.TinyNet())


def test_features_of_different_shape_are_refused_with_both():
    with pytest.raises(
        UserError, match=r"hidden_0 has shape \[2, 4, 8, 8\].*hidden_0 \[2, 6, 8, 8\].*shape$"
    ):
        probe(tiny.TinyNet(), tiny.TinyNet(width=6), feature())


def test_a_tensor_that_no_adaptor_names_is_refused():
    with pytest.raises(UserError, match=r"asks for the student's 'hidden_3'.*did you mean 'hidden_0'"):
        probe(tiny.TinyNet(), tiny.TinyNet(), dataclasses.replace(feature(), student=AdaptorName("hidden_3")))


def test_a_loss_that_is_not_finite_is_refused():
    # The logarithm of a sigmoid that underflows; both tensors have the same shape.
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    for model in (student, teacher):
        model.body[0].weight.set_value(model.body[0].weight * 1e6)
    with pytest.raises(UserError, match="DMLLoss gives"):
        probe(student, teacher, feature({"type": "DMLLoss", "act": "sigmoid"}))


@manager.LOSSES.add_component
class Odd(paddle.nn.Layer):
    """A user's loss that returns `Odd.gives(student)`."""

    gives = None

    def forward(self, student, teacher):
        return Odd.gives(student)


def fail(error):
    """Return a function that raises an error."""

    def raise_it(_):
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda x: x, r"hidden_0_Odd gives shape \[2, 4, 8, 8\]; a loss must be one number$"),
        (lambda x: 3.0, "hidden_0_Odd gives float; a loss must be one number"),
        (lambda x: x.sum() * float("nan"), "hidden_0_Odd gives nan: the student's hidden_0 has shape"),
        (fail(RuntimeError("no kernel")), "c.yml: hidden_0_Odd: no kernel: the student's hidden_0"),
        (fail(KeyError()), "hidden_0_Odd: KeyError: "),
    ],
)
def test_a_mistake_in_a_users_loss_is_reported(gives, message):
    Odd.gives = gives
    with pytest.raises(UserError, match=message):
        probe(tiny.TinyNet(), tiny.TinyNet(), feature("Odd"))


def test_an_error_in_a_loss_of_this_project_is_a_bug(monkeypatch):
    monkeypatch.setattr(Odd, "__module__", "paddleseg.losses.odd")
    Odd.gives = fail(TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        probe(tiny.TinyNet(), tiny.TinyNet(), feature("Odd"))


def test_heads_of_other_sizes_are_logged_and_other_classes_refused(lines):
    observed = probe_at_head(tiny.StridedNet(stride=2), tiny.StridedNet(stride=4))
    shapes = [logits[0].shape for logits, _ in (observed.student, *observed.teachers)]
    assert shapes == [[2, 2, 4, 6], [2, 2, 2, 3]]
    message = "output 0: the student's 4 x 6 and the teacher's 2 x 3 are resized bilinearly to 2 x 3"
    assert lines == [f"distill_loss at the head: {message}"]
    probe_at_head(tiny.StridedNet(), tiny.StridedNet())
    assert len(lines) == 1
    with pytest.raises(UserError, match="output 0 of the student has 2 classes and the teacher's 3"):
        probe_at_head(tiny.StridedNet(stride=2), tiny.StridedNet(3))


def probe_logits(loss, student, teacher, logits_at="full", coef=1):
    """Probe the logits of two models for one loss of `distill_loss`."""
    images, label = paddle.randn([2, 3, 8, 8]), paddle.randint(0, 2, [2, 8, 8])
    taps = Taps(student, "student")
    observed = observe(student, taps, [Teacher(teacher)], {"img": images, "label": label}, logits_at)
    section = {"types": [loss], "coef": [coef]}
    try_distill_loss(section, observed, logits_at, 2, place="c.yml:7: distill_loss.types")


def test_a_distill_loss_that_gives_no_gradient_is_refused_with_its_key():
    message = r"^c.yml:7: distill_loss.types.0: {} gives the student no gradient.*\[2, {}\]"
    one_position = SegChannelwiseLoss()
    student, teacher = tiny.StridedNet(stride=8), tiny.StridedNet(stride=8, width=6)
    with pytest.raises(UserError, match=message.format("SegChannelwiseLoss", "2, 1, 1")):
        probe_logits(one_position, student, teacher, "head")
    probe_logits(one_position, student, teacher, "head", coef=0)
    probe_logits(one_position, student, teacher)
    with pytest.raises(UserError, match=message.format("KLLoss", "1, 8, 8")):
        probe_logits(KLLoss(), tiny.TinyNet(1), tiny.TinyNet(1, width=6))
    probe_logits(KLLoss(), teacher, teacher)  # at its minimum


def test_trying_the_distill_loss_leaves_no_traces():
    loss, student = MGDLoss(2, 2), tiny.TinyNet()
    before = {key: value.numpy() for key, value in loss.state_dict().items()}
    paddle.seed(7)
    expected = float(paddle.rand([1]))
    paddle.seed(7)
    images = paddle.randn([2, 3, 8, 8])
    observed = observe(student, Taps(student, "student"), [Teacher(tiny.TinyNet())], {"img": images})
    paddle.seed(7)
    try_distill_loss({"types": [loss], "coef": [1]}, observed)
    assert float(paddle.rand([1])) == expected
    assert all((value.numpy() == before[key]).all() for key, value in loss.state_dict().items())
    assert all(parameter.grad is None for parameter in [*loss.parameters(), *student.parameters()])


def test_an_error_of_a_users_distill_loss_is_reported():
    Odd.gives = fail(RuntimeError("no kernel"))
    with pytest.raises(
        UserError, match="^c.yml:7: distill_loss.types.0: Odd: no kernel: the student's output 0"
    ):
        probe_logits(Odd(), tiny.TinyNet(), tiny.TinyNet())


@pytest.mark.parametrize("tap", [Tap("input_of", "body.0"), Tap("attr", "detached")])
def test_a_tensor_that_no_trained_parameter_changes_is_refused(tap):
    class Detached(tiny.TinyNet):
        def forward(self, x):
            outputs = super().forward(x)
            self.detached = self.mixed.detach()
            return outputs

    student = Detached()
    taps = Taps(student, "student", None, [(tap, "c.yml")])
    observed = observe(
        student, taps, [Teacher(Detached(), None, [(tap, "c.yml")])], {"img": paddle.randn([2, 3, 8, 8])}
    )
    with pytest.raises(UserError, match="^c.yml: no trained parameter of the student changes"):
        feature_losses([dataclasses.replace(feature(), student=tap, teacher=tap)], observed)


def test_a_loss_of_features_that_gives_no_gradient_is_refused():
    Odd.gives = lambda x: x.sign().sum()
    with pytest.raises(
        UserError, match=r"^c.yml: hidden_0_Odd gives the student no gradient.*\[2, 4, 8, 8\]"
    ):
        probe(tiny.TinyNet(), tiny.TinyNet(), feature("Odd"))


def test_a_connector_that_starts_at_zero_is_accepted():
    """Its weights get a gradient, though the student gets none yet."""
    student = tiny.TinyNet()
    observed = observe(
        student,
        Taps(student, "student", Body),
        [Teacher(tiny.TinyNet(), Body)],
        {"img": paddle.randn([2, 3, 8, 8])},
    )
    feature_losses([feature(connector={"type": "ZeroConnector"})], observed)


@manager.CONNECTORS.add_component
class ZeroConnector(ConvConnector):
    """A convolution whose weights start at 0."""

    def __init__(self, student_channels: int, teacher_channels: int):
        super().__init__(student_channels, teacher_channels)
        self.conv.weight.set_value(paddle.zeros_like(self.conv.weight))
