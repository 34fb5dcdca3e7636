"""A loss that holds losses is checked, completed and built as others are."""

import pytest

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.losses import CrossEntropyLoss, DiceLoss, MixedLoss

TEXT = """\
imports: [components]
loss:
  types:
    - type: MixedLoss
      losses:
        - {type: CrossEntropyLoss, top_k_percent_pixels: 0.3}
        - {type: MixedLoss, losses: [{type: DiceLoss}, {type: UserLoss}], coef: [1, 2]}
      coef: [0.8, 0.2]
  coef: [1]
"""


def test_nested_losses_are_built_with_the_ignored_label_of_the_config(write):
    builder = SegBuilder(Config(write("ignore_index: 7\n" + TEXT)))
    (loss,) = builder.loss["types"]
    assert (type(loss), loss.coef) == (MixedLoss, [0.8, 0.2])
    first, inner = loss.losses
    assert (type(first), first.ignore_index, first.top_k_percent_pixels) == (CrossEntropyLoss, 7, 0.3)
    assert (type(inner.losses[0]), inner.losses[0].ignore_index) == (DiceLoss, 7)


def test_a_nested_loss_with_another_ignored_label_is_refused(problems):
    text = "ignore_index: 7\n" + TEXT.replace("DiceLoss", "DiceLoss, ignore_index: 8")
    assert problems(text) == [
        "config.yml:8: loss.types.0.losses.1.losses.0.ignore_index: 8 as ignore_index, but ignore_index "
        "(config.yml:1) has 7; they must agree (ignore_index)"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{type: DiceLoss}", "{type: DiceLos}", "losses.1.losses.0.type: unknown loss 'DiceLos'; did you"),
        ("{type: DiceLoss}", "DiceLoss", "losses.1.losses.0: must hold a `type` and its keys, not"),
        ("DiceLoss", "DiceLoss, smoth: 1", "losses.1.losses.0.smoth: unknown key 'smoth' of DiceLoss; did"),
        ("DiceLoss", "KLLoss", "losses.1.losses.0.type: KLLoss compares the student with the teacher, so"),
        ("[{type: DiceLoss}, {type: UserLoss}]", "5", "losses.1.losses: must be a list of losses, not 5"),
        ("[1, 2]", "[1]", "losses.1: coef must hold a number for each of 2 losses, not [1]"),
        ("[1, 2]", "[1, -2]", "losses.1: each coef must be a number of 0 or above, not -2"),
        ("[1, 2]", "[1, .inf]", "losses.1: each coef must be a number of 0 or above, not inf"),
        ("losses: [{type: DiceLoss}, {type: UserLoss}]", "losses: []", "losses.1: losses must hold at"),
        (", coef: [1, 2]", "", "losses.1: the key 'coef' of MixedLoss is missing"),
        ("coef: [1, 2]", "coef: [a, 2]", "losses.1.coef: must be a list of numbers, not ['a', 2]"),
        ("top_k_percent_pixels: 0.3", "data_format: NHWC", "losses.0.data_format: PaddleSeg's key"),
    ],
)
def test_a_mistake_in_a_nested_loss_is_reported_with_its_place(problems, old, new, expected):
    (problem,) = problems(TEXT.replace(old, new))
    assert f": loss.types.0.{expected}" in problem


def test_a_key_of_paddleseg_that_changes_nothing_is_dropped_within(write):
    text = TEXT.replace("coef: [1, 2]", "coef: [1, 2], data_format: NCHW").replace(
        "DiceLoss", "BCELoss, edge: no"
    )
    cfg = Config(write(text))
    inner = cfg["loss"]["types"][0]["losses"][1]
    assert set(inner) == {"type", "losses", "coef"}
    assert inner["losses"][0] == {"type": "BCELoss"}


@pytest.mark.parametrize(
    "loss",
    [
        "{type: LovaszSoftmaxLoss, classes: [0, 1]}",
        "{type: LovaszSoftmaxLoss, classes: all}",
        "{type: BCELoss, weight: dynamic, pos_weight: 2}",
        "{type: RMILoss, rmi_pool_way: 2}",
        "{type: MultiClassFocalLoss, num_class: 2}",
    ],
)
def test_a_loss_of_alternatives_takes_each(problems, loss):
    assert problems(f"loss: {{types: [{loss}], coef: [1]}}\n") == []


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("{type: LovaszSoftmaxLoss, classes: some}", "classes: must be 'present' or 'all' or a list of"),
        ("{type: BCELoss, pos_weight: auto}", "pos_weight: must be a number or 'dynamic' or Null, not"),
        ("{type: RMILoss, rmi_pool_way: 3}", "rmi_pool_way: must be 0 or 1 or 2, not 3"),
    ],
)
def test_a_loss_of_alternatives_takes_no_other(problems, loss, expected):
    (problem,) = problems(f"loss: {{types: [{loss}], coef: [1]}}\n")
    assert f": loss.types.0.{expected}" in problem
