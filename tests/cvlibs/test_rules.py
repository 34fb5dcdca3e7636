"""The sections `loss`, `distill_loss` and `export`: which are accepted, and what is refused."""

import pytest

from paddleseg.cvlibs import Config

HEAD = "imports: [components]\n"
LOSS = "loss: {types: [{type: CrossEntropyLoss}], coef: %s}\n"


@pytest.mark.parametrize("section", ["loss", "distill_loss"])
@pytest.mark.parametrize("value", ["5", "[1]", "KLLoss"])
def test_a_loss_section_has_types_and_coef(problems, section, value):
    (problem,) = problems(f"{section}: {value}\n")
    assert problem.startswith(f"config.yml:1: {section}: must hold `types` and `coef`, not ")


@pytest.mark.parametrize("coef", ["1", "[]", "{a: 1}"])
def test_coef_is_a_list(problems, coef):
    (problem,) = problems(LOSS % coef)
    assert problem.startswith("config.yml:1: loss.coef: must be a list of at least one number, not ")
    assert problems(LOSS % "Null") == ["config.yml:1: loss: the key 'coef' is missing"]


@pytest.mark.parametrize("coef", ["x", "true", "-1", ".nan", ".inf", "Null", "[1]"])
def test_each_coef_is_a_number_of_0_or_above(problems, coef):
    (problem,) = problems(LOSS % f"[1, {coef}]")
    assert problem.startswith("config.yml:1: loss.coef.1: must be a number of 0 or above, not ")


@pytest.mark.parametrize("coef", ["[1]", "[1, 0.4, 0]", "[1e-3, 2]"])
def test_one_type_serves_any_number_of_coef(problems, coef):
    assert problems(LOSS % coef) == []


@pytest.mark.parametrize(("types", "coef"), [(2, 1), (2, 3), (3, 2)])
def test_several_types_need_a_coef_each(problems, types, coef):
    text = f"loss: {{types: {[{'type': 'CrossEntropyLoss'}] * types}, coef: {[1] * coef}}}\n"
    assert problems(text) == [
        f"config.yml:1: loss.coef: {coef} coef for {types} types; there must be one for each"
    ]


def test_types_are_losses(problems):
    text = "loss: {types: [CrossEntropyLoss, {type: ResNet18_vd}, {type: [KLLoss]}], coef: [1, 1, 1]}\n"
    first, second, third = problems(text)
    assert "loss.types.0: must hold a `type` and its keys, not 'CrossEntropyLoss'" in first
    assert "loss.types.1.type: unknown loss 'ResNet18_vd'" in second
    assert "loss.types.2.type: must be the name of a loss, not ['KLLoss']" in third


@pytest.mark.parametrize("name", ["KLLoss", "SegChannelwiseLoss"])
def test_a_distillation_loss_is_no_task_loss(problems, name):
    assert problems(f"loss: {{types: [{{type: {name}}}], coef: [1]}}\n") == [
        f"config.yml:1: loss.types.0.type: {name} compares the student with the teacher, so it has no place "
        f"in loss"
    ]


def test_a_task_loss_is_no_distillation_loss(problems):
    assert problems("distill_loss: {types: [{type: CrossEntropyLoss}], coef: [1]}\n") == [
        "config.yml:1: distill_loss.types.0.type: CrossEntropyLoss compares the student with the label, so "
        "it has no place in distill_loss"
    ]


@pytest.mark.parametrize("section", ["loss", "distill_loss"])
def test_a_users_loss_is_accepted_in_either_section(problems, section):
    assert problems(HEAD + f"{section}: {{types: [{{type: UserLoss}}], coef: [1]}}\n") == []


def test_the_section_of_the_export_is_checked(problems, write):
    text = "export: {transforms: [{type: Resize, target_size: [8, 8]}, {type: Normalize}]}\n"
    assert problems(text) == []
    assert len(Config(write(text))["export"]["transforms"]) == 2
    (problem,) = problems("export: {transforms: [{type: Resiz}]}\n")
    assert problem.startswith("config.yml:1: export.transforms.0.type: unknown transform 'Resiz'")
    assert problems("export: 3\n") == ["config.yml:1: export: must hold `transforms`, not 3"]
    (problem,) = problems("export: {transform: []}\n")
    assert problem == "config.yml:1: export.transform: unknown key 'transform'; did you mean 'transforms'?"
