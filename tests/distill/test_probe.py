import paddle
import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.distill_file import as_feature
from paddleseg.distill.probe import check_logits, feature_losses, observe
from paddleseg.distill.taps import Taps
from paddleseg.distill.teacher import Teacher
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
