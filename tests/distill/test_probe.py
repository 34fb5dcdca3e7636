import numpy as np
import paddle
import pytest
import tiny

from paddleseg.cvlibs import manager
from paddleseg.distill import AdaptorBase
from paddleseg.distill.distill_file import as_feature
from paddleseg.distill.probe import check_logits, feature_losses, observe
from paddleseg.distill.taps import Tap, Taps
from paddleseg.distill.teachers.teacher import Teacher
from paddleseg.errors import UserError


class Body(AdaptorBase):
    def mapping_layers(self):
        return {"hidden_0": "body.0"}


def run(student, teacher, features=(), batch=2):
    """Probe two models for a list of feature dicts; return the losses that were made."""
    taps = Taps(student, "student", Body)
    images = paddle.randn([batch, 3, 8, 8])
    seen = observe(student, taps, [Teacher(teacher, Body)], {"img": images})
    check_logits(seen)
    return feature_losses([as_feature(feature, "d.py", 0) for feature in features], seen)


def test_models_that_fit_pass_and_nothing_is_changed():
    student = tiny.TinyNet(dropout=0.5)
    before = {k: v.numpy() for k, v in student.state_dict().items()}
    student.train()
    run(student, tiny.TinyNet(), [tiny.feature(), tiny.feature(loss_function="RKDLoss")])
    assert student.training
    assert student.dropout.training
    assert all((v.numpy() == before[k]).all() for k, v in student.state_dict().items())
    assert all(p.grad is None for p in student.parameters())


class Trained(tiny.TinyNet):
    """Has a second output in training alone, and another layer that runs in evaluation alone."""

    def __init__(self):
        super().__init__(outputs=2)
        self.deployed = paddle.nn.ReLU()

    def forward(self, x):
        outputs = super().forward(x)
        return outputs if self.training else [self.deployed(outputs[0])]


def test_the_student_is_seen_in_training_mode_and_disturbed_in_nothing():
    student, teacher = Trained(), Teacher(tiny.TinyNet(dropout=0.5))
    student.dropout.p = 0.5
    student.eval()
    student.body.train()
    before = {k: v.numpy() for k, v in student.state_dict().items()}
    batch = {"img": paddle.randn([2, 3, 8, 8])}
    draws = []
    for tap in (None, Tap("output_of", "heads.1")):
        paddle.seed(7)
        np.random.seed(7)
        if tap is not None:
            seen = observe(student, Taps(student, "student", None, [(tap, "c.yml")]), [teacher], batch)
            assert seen.student[1][tap].shape == [2, 2, 8, 8]
            assert seen.student[1][tap].stop_gradient
            assert len(seen.student[0]) == 2
        draws.append((float(paddle.rand([1])), np.random.rand()))
    assert draws[0] == draws[1]
    assert all((v.numpy() == before[k]).all() for k, v in student.state_dict().items())
    assert [layer.training for layer in (student, student.body, student.dropout)] == [False, True, False]
    taps = Taps(student, "student", None, [(Tap("output_of", "deployed"), "c.yml")])
    with pytest.raises(UserError, match="does not run 'deployed'"):
        observe(student, taps, [teacher], batch)


@pytest.mark.parametrize("outputs", [1, 2])
def test_other_classes_are_refused(outputs):
    with pytest.raises(UserError, match="output 0 of the student has 2 classes and the teacher's 3"):
        run(tiny.TinyNet(), tiny.TinyNet(num_classes=3, outputs=outputs))


def test_auxiliary_outputs_without_counterpart_are_no_obstacle():
    run(tiny.TinyNet(outputs=3), tiny.TinyNet())
    run(tiny.TinyNet(), tiny.TinyNet(outputs=2))


def test_features_of_different_shape_are_refused_with_both():
    with pytest.raises(UserError, match=r"hidden_0 has shape \[2, 4, 8, 8\].*hidden_0 \[2, 6, 8, 8\]"):
        run(tiny.TinyNet(), tiny.TinyNet(width=6), [tiny.feature()])


def test_a_tap_that_nobody_named_is_refused():
    with pytest.raises(UserError, match=r"asks for the student's 'hidden_3'.*did you mean 'hidden_0'"):
        run(tiny.TinyNet(), tiny.TinyNet(), [tiny.feature(3)])


def test_a_loss_that_is_not_finite_is_refused():
    # The logarithm of a sigmoid that underflows; the same on both sides, so the shapes are no excuse.
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    for model in (student, teacher):
        model.body[0].weight.set_value(model.body[0].weight * 1e6)
    with pytest.raises(UserError, match="DMLLoss gives"):
        run(student, teacher, [tiny.feature(loss_function="DMLLoss", act="sigmoid")])


def test_a_bare_tensor_counts_as_a_list_of_one():
    run(tiny.BareNet(), tiny.TinyNet())


@manager.LOSSES.add_component
class Odd(paddle.nn.Layer):
    """A user's loss that gives, or raises, what a test says."""

    gives = None

    def forward(self, student, teacher):
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives(student)


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (lambda x: x, r"hidden_0_Odd gives shape \[2, 4, 8, 8\]; a loss must be one number$"),
        (lambda x: 3.0, "hidden_0_Odd gives float; a loss must be one number"),
        (lambda x: x.sum() * float("nan"), "hidden_0_Odd gives nan: the student's hidden_0 has shape"),
        (RuntimeError("no such kernel"), "d.py.*: hidden_0_Odd: no such kernel: the student's hidden_0"),
        (KeyError(), "hidden_0_Odd: KeyError: "),
    ],
)
def test_what_a_users_loss_does_wrong_is_told(monkeypatch, gives, told):
    monkeypatch.setattr(Odd, "gives", gives if isinstance(gives, Exception) else staticmethod(gives))
    with pytest.raises(UserError, match=told):
        run(tiny.TinyNet(), tiny.TinyNet(), [tiny.feature(loss_function="Odd")])


def test_a_bug_of_our_own_loss_is_none_of_the_users(monkeypatch):
    def broken(self, student, teacher, label=None):
        raise TypeError("a bug")

    monkeypatch.setattr(manager.LOSSES["SegChannelwiseLoss"], "forward", broken)
    with pytest.raises(TypeError, match="a bug"):
        run(tiny.TinyNet(), tiny.TinyNet(), [tiny.feature()])


def at_head(student, teacher):
    taps = Taps(student, "student")
    seen = observe(student, taps, [Teacher(teacher)], {"img": paddle.randn([2, 3, 8, 12])}, "head")
    check_logits(seen, "head")
    return seen


def test_heads_of_other_sizes_are_told_and_other_classes_refused(capsys):
    seen = at_head(tiny.StridedNet(stride=2), tiny.StridedNet(stride=4))
    assert [answers[0][0].shape for answers in (seen.student, *seen.teachers)] == [[2, 2, 4, 6], [2, 2, 2, 3]]
    told = "output 0: the student's 4 x 6 and the teacher's 2 x 3 are resized bilinearly to 2 x 3"
    assert capsys.readouterr().out.count(told) == 1
    at_head(tiny.StridedNet(), tiny.StridedNet())
    assert "resized" not in capsys.readouterr().out
    with pytest.raises(UserError, match="output 0 of the student has 2 classes and the teacher's 3"):
        at_head(tiny.StridedNet(stride=2), tiny.StridedNet(3))
