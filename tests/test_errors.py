"""Helpers for messages of errors."""

import pytest

from paddleseg.errors import UserError, counted, nearest, refusals_of_backward, suggestion


def test_nearest_ignores_case_and_keeps_the_spelling():
    assert nearest("deeplabv3p", ["DeepLabV3P", "UNet"]) == ["DeepLabV3P"]


def test_nearest_gives_the_best_first_and_three_at_most():
    names = ["loss_a", "loss_bb", "loss_ccc", "loss_dddd", "other"]
    assert nearest("loss_a", names)[0] == "loss_a"
    assert len(nearest("loss_", names)) == 3
    assert len(nearest("loss_", names, most=1)) == 1


def test_nearest_returns_nothing_where_no_name_is_similar():
    assert nearest("zzz", ["DeepLabV3P"]) == []


@pytest.mark.parametrize(
    ("name", "candidates", "clause"),
    [
        ("iter", ["iters", "model"], "did you mean 'iters'?"),
        (0, ["10", "types"], "did you mean '10'?"),
        ("zzz", ["b", "a", "a"], "there are 'a', 'b'"),
        ("zzz", [], "there is none to choose from"),
    ],
)
def test_a_suggestion_names_the_nearest_or_all(name, candidates, clause):
    assert suggestion(name, candidates) == clause


def test_a_user_error_is_no_value_error():
    # What is caught as the user's mistake must not catch a bug along with it.
    assert UserError.__mro__[1] is Exception


def test_a_noun_agrees_with_its_number():
    texts = [counted(count, noun) for noun in ("image", "loss") for count in (0, 1, 2)]
    assert texts == ["0 images", "1 image", "2 images", "0 losses", "1 loss", "2 losses"]


def test_another_error_of_a_backward_pass_passes():
    with pytest.raises(OSError, match="no space"), refusals_of_backward():
        raise OSError("no space")
