"""Losses in their place, and what a config says in several places: the checker's second half."""

import pytest

HEAD = "imports: [components]\n"
MODEL = HEAD + "model: {type: UserNet, num_classes: 2}\n"
DATA = "train_dataset: {type: UserData, transforms: [], num_classes: 2}\n"
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
def test_a_users_loss_is_trusted_to_be_in_its_place(problems, section):
    assert problems(HEAD + f"{section}: {{types: [{{type: UserLoss}}], coef: [1]}}\n") == []


def test_class_counts_must_agree(problems):
    text = (
        "num_classes: 4\n"
        + MODEL.replace("num_classes: 2", "num_classes: 3")
        + DATA
        + "val_dataset: {type: OpticDiscSeg, transforms: []}\n"
    )
    assert problems(text) == [
        "config.yml:3: model.num_classes: 3 classes, but num_classes has 4; they must agree (num_classes)",
        "config.yml:4: train_dataset.num_classes: 2 classes, but num_classes has 4; they must agree "
        "(num_classes)",
        "config.yml:5: val_dataset: 2 classes, but num_classes has 4; they must agree (num_classes)",
    ]


def test_a_data_set_of_a_fixed_class_count_may_be_told_another(problems):
    text = "train_dataset: {type: OpticDiscSeg, transforms: [], num_classes: 3}\n"
    assert problems(MODEL.replace("2}", "3}") + text) == []
    assert len(problems(MODEL + text)) == 1


def test_the_model_alone_need_not_agree_with_the_data(problems):
    text = MODEL + "train_dataset: {type: UserData, transforms: [], num_classes: 5}\n"
    assert problems(text, sections=("model",)) == []
    assert len(problems(text)) == 1


def test_ignored_labels_must_agree(problems):
    text = (
        "ignore_index: 255\n"
        "loss: {types: [{type: CrossEntropyLoss, ignore_index: 0}], coef: [1]}\n"
        "distill_loss: {types: [{type: KLLoss, ignore_index: 255}], coef: [1]}\n"
    )
    assert problems(text) == [
        "config.yml:2: loss.types.0.ignore_index: 0 as ignore_index, but ignore_index has 255; they must "
        "agree (ignore_index)"
    ]
    assert problems(HEAD + DATA.replace("}", ", ignore_index: 7}") + text.replace("255", "7")) != []
    assert (
        problems(
            HEAD + DATA.replace("}", ", ignore_index: 7}") + text.replace("255", "7").replace(": 0", ": 7")
        )
        == []
    )
