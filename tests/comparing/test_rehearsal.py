"""The rehearsal: what is wrong with a method is said before the teacher is trained."""

import os
import pathlib
import re

import pytest
import tiny
from comparisons import KL, environment

from paddleseg.comparing import compare
from paddleseg.comparing.plan import PLAIN, read_plan
from paddleseg.comparing.rehearsal import rehearse
from paddleseg.comparing.trainings import Trainings
from paddleseg.errors import UserError
from paddleseg.options import CompareOptions

FEATURE = {"student": "body", "teacher": "body", "loss": {"type": "FitNetLoss"}, "weight": 1}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(teacher_classes=2, **changes) writes plan.yml, with these keys, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    root = tiny.write_optic_disc(tmp_path / "data")

    def written(teacher_classes=2, **changes):
        for role, classes in (("teacher", teacher_classes), ("student", 2)):
            model = {"type": "TinyNet", "num_classes": classes, "width": 4}
            tiny.write_yaml(tmp_path / f"{role}.yml", tiny.config(root, model, distill=False, iters=4))
        tiny.write_yaml(
            tmp_path / "plan.yml", {"teacher": "teacher.yml", "student": "student.yml", **changes}
        )

    return written


@pytest.fixture
def refusal(tmp_path, write):
    """refusal(method, teacher_classes=2) -> the error of a comparison with one method."""

    def refused(method, teacher_classes=2):
        write(teacher_classes, methods={PLAIN: None, "mine": method})
        with pytest.raises(UserError) as error:
            compare("plan.yml", CompareOptions(out="out", device="cpu"))
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["configs", "lock", "rehearsal"]
        return str(error.value)

    return refused


def test_a_method_whose_map_does_not_exist_is_refused(refusal):
    method = {"distill": {"features": [{**FEATURE, "student": "bodi"}]}}
    message = refusal(method)
    assert "mine_4.yml:6: distill.features.0.student: TinyNet has no sublayer 'bodi'" in message
    assert "did you mean 'body'" in message


def test_a_teacher_of_other_classes_is_refused(refusal):
    message = refusal(KL, teacher_classes=3)
    assert "the dry run of mine ended with status 2" in message
    assert "num_classes" in message


def test_an_argument_that_a_loss_does_not_take_is_refused(refusal):
    method = {"distill": {"features": [{**FEATURE, "loss": {"type": "FitNetLoss", "temperature": 4}}]}}
    assert "unknown key 'temperature' of FitNetLoss" in refusal(method)


def test_the_student_alone_is_rehearsed_too(tmp_path, write):
    write(methods={PLAIN: {"optimizer": {"type": "Adamm"}}})
    with pytest.raises(UserError, match="Adamm"):
        compare("plan.yml", CompareOptions(out="out", device="cpu"))
    assert not (tmp_path / "out" / "teacher_seed0").exists()


def test_a_plan_without_methods_leaves_out_what_does_not_fit(write, lines):
    write(seeds=[0])
    table = compare("plan.yml", CompareOptions(iters=2, out="out", device="cpu"))
    (warning,) = [line for line in lines if "is left out" in line]
    assert "the default is left out" in warning
    assert "TinyNet has no sublayer 'backbone'" in warning
    log = re.search(r"[(]([^()]*train.log)[)]", warning)[1]
    assert "TinyNet has no sublayer 'backbone'" in pathlib.Path(log).read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    assert rows[2:] == ["| teacher", "| student alone", "| KLLoss", "| SegChannelwiseLoss"]


@pytest.mark.parametrize(("only", "classes"), [(["the default"], 2), (None, 3)])
def test_a_method_that_the_user_names_is_never_left_out_nor_are_all(tmp_path, write, only, classes):
    write(classes)
    with pytest.raises(UserError, match="the dry run of the default ended with status 2"):
        compare("plan.yml", CompareOptions(only=only, out="out", device="cpu"))
    assert not (tmp_path / "out" / "teacher_seed0").exists()


def test_only_a_changed_config_is_rehearsed_again(tmp_path, write):
    def rehearsed(**changes):
        write(methods={PLAIN: None, "kl": {**KL, **changes}})
        options = CompareOptions(out="out", device="cpu")
        os.makedirs("out/configs", exist_ok=True)
        trainings = Counting(read_plan("plan.yml"), options)
        assert rehearse(trainings, [PLAIN, "kl"]) == [PLAIN, "kl"]
        return trainings.rehearsals

    assert rehearsed() == [PLAIN, "kl"]
    assert rehearsed() == []
    assert rehearsed(batch_size=3) == ["kl"]


class Counting(Trainings):
    """Trainings that count their rehearsals."""

    def __init__(self, plan, options):
        super().__init__(plan, options)
        self.rehearsals = []

    def rehearse(self, method, folder):
        self.rehearsals.append(method)
        super().rehearse(method, folder)


def test_a_loss_for_an_output_that_the_student_lacks_is_refused(tmp_path, write):
    loss = {"types": [{"type": "CrossEntropyLoss"}], "coef": [1, 0.4]}
    write(methods={PLAIN: {"loss": loss}})
    with pytest.raises(UserError, match="the dry run of student alone ended with status 2.*1 output"):
        compare("plan.yml", CompareOptions(out="out", device="cpu"))
