"""Losses as a script gives them, as the section that a step computes."""

import paddle.nn as nn
import pytest

from paddleseg.distill.given_losses import ignored_label_of, loss_section, with_ignored
from paddleseg.errors import UserError
from paddleseg.losses import CIRKDMemoryLoss, CrossEntropyLoss, KLLoss

AVAILABLE = {"num_classes": 3, "ignore_index": 7, "student_channels": 3, "teacher_channels": 3}


def section(given, outputs=1, against="teacher"):
    return loss_section(given, outputs, "logits", against, AVAILABLE)


def test_every_form_names_a_loss_with_its_weight_and_output():
    own = nn.MSELoss()
    assert section(None) == {"types": [], "coef": [], "outputs": []}
    assert section(own) == section([own]) == {"types": [own], "coef": [1.0], "outputs": [0]}
    assert section((own, 3)) == {"types": [own], "coef": [3], "outputs": [0]}
    assert section((own, [3, 1]), outputs=2) == {"types": [own] * 2, "coef": [3, 1], "outputs": [0, 1]}
    assert section((own, [3]), outputs=2) == {"types": [own], "coef": [3], "outputs": [0]}
    assert section([(own, 3), own], outputs=2)["outputs"] == [0, 1, 0, 1]
    assert section({"types": [own], "coef": [1, 2]}, outputs=2) == {"types": [own] * 2, "coef": [1, 2]}
    assert section({"types": [own] * 2, "coef": [1]}, outputs=2) == {"types": [own] * 2, "coef": [1, 1]}


def test_a_loss_by_name_gets_what_the_models_state():
    (loss,) = section({"type": "KLLoss", "temperature": 2.0})["types"]
    assert (type(loss), loss.temperature, loss.ignore_index) == (KLLoss, 2.0, 7)
    assert isinstance(section("CIRKDMemoryLoss")["types"][0], CIRKDMemoryLoss)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("KLLos", "logits.type: unknown loss 'KLLos'; did you mean 'KLLoss'"),
        (["KLLoss", "CrossEntropyLoss"], "logits.1: CrossEntropyLoss compares the student with the label"),
        (
            [("KLLoss", float("nan"))],
            "logits.0: a weight must be a finite number of 0 or above, or auto, not nan",
        ),
        ({"types": [KLLoss()], "coef": ["x"]}, "logits.coef.0: must be a finite number"),
        ({"types": [KLLoss()], "coef": [1], "shar": 2}, "logits: unknown key 'shar'; did you mean 'share'"),
        ({"types": [KLLoss()], "coef": [1], "share": 2}, "share: has no effect without a coef of auto"),
        ({"types": [KLLoss()], "coef": "auto", "share": 0}, "share: must be a number above 0, not 0"),
        ({"types": [KLLoss()] * 3, "coef": [1, 1]}, "logits: 2 coef for 3 types"),
        (
            {"types": [KLLoss()] * 3, "coef": [1]},
            "logits: student and teacher share 1 output and .* 3 losses",
        ),
        (3, "logits must be a loss, its name"),
    ],
)
def test_what_is_no_loss_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        section(given)


def test_losses_ignore_the_same_label():
    own, ours, other = nn.CrossEntropyLoss(axis=1), CrossEntropyLoss(), CrossEntropyLoss(ignore_index=7)
    types = with_ignored({"types": [own, ours, other], "coef": [1] * 3}, 7)["types"]
    assert types[0].ignore_index == 7
    assert own.ignore_index == -100
    assert types[1].__name__ == "CrossEntropyLoss"
    assert types[2] is other
    assert ignored_label_of(own) == 255
    assert ignored_label_of([own, (other, 0.5)]) == 7
    assert ignored_label_of({"types": [ours], "coef": [1]}) == 255
    assert ignored_label_of([{"type": "CrossEntropyLoss", "ignore_index": 0}]) == 0
