"""The rehearsal: what is wrong with a method is said before the teacher is trained."""

import pytest
import tiny
import yaml

from paddleseg.comparing import compare
from paddleseg.errors import UserError
from paddleseg.options import CompareOptions

FEATURE = {"student": "body", "teacher": "body", "loss": {"type": "FitNetLoss"}, "weight": 1}
KL = {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]}}


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """refusal(method, teacher_classes=2) -> the error of a comparison with one method."""
    monkeypatch.chdir(tmp_path)
    root = tiny.write_optic_disc(tmp_path / "data")

    def refused(method, teacher_classes=2):
        for role, classes in (("teacher", teacher_classes), ("student", 2)):
            model = {"type": "TinyNet", "num_classes": classes, "width": 4}
            tiny.write_yaml(tmp_path / f"{role}.yml", tiny.config(root, model, distill=False, iters=4))
        plan = {"teacher": "teacher.yml", "student": "student.yml", "methods": {"student alone": None}}
        plan["methods"]["mine"] = method
        (tmp_path / "plan.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")
        with pytest.raises(UserError) as error:
            compare("plan.yml", CompareOptions(out="out", device="cpu"))
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["configs", "lock"]
        return str(error.value)

    return refused


def test_a_method_whose_map_does_not_exist_is_refused(refusal):
    method = {"distill": {"features": [{**FEATURE, "student": "bodi"}]}}
    message = refusal(method)
    assert "mine_4.yml:6: distill.features.0.student: TinyNet has no sublayer 'bodi'" in message
    assert "did you mean 'body'" in message


def test_a_teacher_of_other_classes_is_refused(refusal):
    message = refusal(KL, teacher_classes=3)
    assert "num_classes" in message
    assert "3" in message


def test_an_argument_that_a_loss_does_not_take_is_refused(refusal):
    method = {"distill": {"features": [{**FEATURE, "loss": {"type": "FitNetLoss", "temperature": 4}}]}}
    assert "unknown key 'temperature' of FitNetLoss" in refusal(method)
