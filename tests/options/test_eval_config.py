"""The `test_config` section: what it may hold, and what flags do to it."""

import pytest

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.options.inference import EvalConfig, with_flags

SLIDE = {"is_slide": True, "crop_size": [8, 6], "stride": [4, 6]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"crop_size": [8, 8]}, "crop_size would have no effect without is_slide; turn is_slide on"),
        ({"crop_size": [8, 8], "stride": [8, 8]}, "crop_size, stride would have no effect"),
        ({"scales": 0.5}, "scales would have no effect without aug_eval; turn aug_eval on"),
        ({"flip_vertical": True, "is_slide": False}, "flip_vertical would have no effect without aug_eval"),
        ({"is_slide": True}, "is_slide needs crop_size, its width and height in pixels"),
        ({"is_slide": True, "crop_size": [8, 8]}, "is_slide needs stride"),
        ({**SLIDE, "crop_size": [8]}, r"crop_size must be a width and a height above 0, not \[8\]"),
        ({**SLIDE, "stride": [0, 4]}, r"stride must be a list of whole numbers above 0, not \[0, 4\]"),
        ({**SLIDE, "stride": [9, 6]}, r"stride \[9, 6\] is larger than crop_size \[8, 6\]"),
        ({**SLIDE, "stride": [8, 7]}, r"stride \[8, 7\] is larger than crop_size"),
        ({"batch_size": 0}, "batch_size must be a whole number above 0, not 0"),
        ({"aug_eval": True, "scales": []}, "scales must be one or more numbers above 0"),
        ({"aug_eval": True, "scales": [1.0, 0]}, "scales must be one or more numbers above 0"),
        ({"aug_eval": True, "scales": float("nan")}, "scales must be one or more numbers above 0"),
        ({"aug_eval": True, "scales": float("inf")}, "scales must be one or more numbers above 0"),
    ],
)
def test_what_cannot_be_done_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        EvalConfig(**given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        SLIDE,
        {"is_slide": False, "crop_size": None, "stride": None, "scales": 1.0, "flip_horizontal": False},
        {"aug_eval": True},
        {"aug_eval": True, "scales": 2, "flip_horizontal": True, **SLIDE, "auc_roc": True},
    ],
)
def test_what_paddleseg_writes_is_taken(given):
    EvalConfig(**given)


def test_a_flag_wins_over_its_key_and_a_switch_begins_anew():
    section = {"aug_eval": True, "scales": 0.5, "flip_horizontal": True, **SLIDE}
    assert with_flags(section, {"scales": [2.0], "aug_eval": None}) == {**section, "scales": [2.0]}
    assert with_flags(section, {"aug_eval": True}) == {"aug_eval": True, **SLIDE}
    assert with_flags(None, {"auc_roc": True, "stride": None}) == {"auc_roc": True}
    assert with_flags(None, {}) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("test_config: 3\n", "1: test_config: must hold keys such as aug_eval and is_slide, not 3"),
        (
            "test_config: {is_slid: True}\n",
            "1: test_config.is_slid: unknown key 'is_slid'; did you mean 'is_s",
        ),
        (
            "test_config: {batch_size: 0}\n",
            "1: test_config.batch_size: must be a whole number above 0, not 0",
        ),
        ("test_config: {is_slide: 1}\n", "1: test_config.is_slide: must be true or false, not 1"),
        (
            "test_config:\n  is_slide: True\n  crop_size: 512\n",
            "3: test_config.crop_size: must be a list of whole numbers or Null, not 512",
        ),
        ("test_config: {scales: big}\n", "1: test_config.scales: must be a number or a list of numbers, not"),
        ("test_config: {scales: 0.5}\n", "1: test_config: scales would have no effect without aug_eval"),
        (
            "iters: 3\ntest_config: {num_workers: 2}\n",
            "2: test_config.num_workers: PaddleSeg's key 'num_work",
        ),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(problems, text, problem):
    (told,) = problems(text)
    assert told.startswith(f"config.yml:{problem}")


def test_a_wrong_flag_is_refused(problems):
    (told,) = problems("iters: 3\n", test_config={"crop_size": [8, 8]})
    assert told.startswith("options: test_config: crop_size would have no effect without is_slide")


def test_the_builder_hands_it_on(write):
    def built(text, flags=None):
        return SegBuilder(Config(write(text), test_config=flags)).eval_config

    text = "test_config: {aug_eval: True, scales: 0.5, print_detail: True, precision: fp32}\n"
    assert built(text) == EvalConfig(aug_eval=True, scales=0.5)
    flags = {"aug_eval": True, "scales": [1.5, 2.0], "boundary_iou": True}
    expected = EvalConfig(aug_eval=True, scales=[1.5, 2.0], boundary_iou=True)
    assert built(text, flags) == expected
    for empty in ("test_config: Null\n", "test_config: {}\n", "iters: 3\n"):
        assert built(empty) == EvalConfig()
