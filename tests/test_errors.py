"""Helpers for messages of errors."""

from paddleseg.errors import UserError, counted, nearest, suggestion


def test_nearest_ignores_case_and_keeps_the_spelling():
    assert nearest("deeplabv3p", ["DeepLabV3P", "UNet"]) == ["DeepLabV3P"]


def test_nearest_gives_the_best_first_and_three_at_most():
    names = ["loss_a", "loss_bb", "loss_ccc", "loss_dddd", "other"]
    assert nearest("loss_a", names)[0] == "loss_a"
    assert len(nearest("loss_", names)) == 3
    assert len(nearest("loss_", names, most=1)) == 1


def test_nearest_returns_nothing_where_no_name_is_similar():
    assert nearest("zzz", ["DeepLabV3P"]) == []


def test_suggestion_names_the_nearest():
    assert suggestion("iter", ["iters", "model"]) == "did you mean 'iters'?"


def test_suggestion_lists_all_where_none_is_near():
    assert suggestion("zzz", ["b", "a", "a"]) == "there are 'a', 'b'"


def test_suggestion_without_candidates():
    assert suggestion("zzz", []) == "there is none to choose from"


def test_suggestion_takes_numbers_too():
    assert suggestion(0, ["10", "types"]) == "did you mean '10'?"


def test_a_user_error_is_no_value_error():
    # What is caught as the user's mistake must not catch a bug along with it.
    assert UserError.__mro__[1] is Exception


def test_a_noun_agrees_with_its_number():
    texts = [counted(count, noun) for noun in ("image", "loss") for count in (0, 1, 2)]
    assert texts == ["0 images", "1 image", "2 images", "0 losses", "1 loss", "2 losses"]
