"""Parameters of constructors, and whether values fit their types."""

import functools
import sys
import typing
from typing import Any, Callable, Dict, List, Literal, Optional, Sequence, Tuple, Union

import paddle.nn as nn
import pytest

from paddleseg.utils import signature

# Type, values that fit, values that do not.
VALUES = [
    (int, [1], [1.0, "1", True, None]),
    (float, [1, 0.5], ["0.1", True]),
    (str, ["a"], [1]),
    (bool, [True], [1, "false"]),
    (dict, [{}], [[]]),
    (Optional[int], [None, 3], ["x"]),
    (Optional[float], [None, 0.5], [False]),
    (Union[int, str], ["a", 1], [None]),
    (Literal["mean", "sum"], ["mean"], ["max"]),
    (Sequence[int], [[1, 2], []], [[1, "a"], [1.5], 3]),
    (Sequence[float], [[1, 2.5]], [["1"]]),
    (Sequence[str], [["ab"]], ["ab"]),
    (Sequence, [[1, "a"]], [{"a": 1}]),
    (list, [[1, "a"]], ["a"]),
    (List[int], [[1, 2]], [[True]]),
    (Tuple[int, int], [[1, 2]], [[1, "a"]]),
    (Tuple[int, ...], [[1, 2, 3]], [[1, "a"]]),
    (Tuple[int, str], [[1, "a"]], [1]),
    (Sequence[Sequence[int]], [[[1], [2]]], [[["a"]]]),
    (Union[int, Sequence[int]], [5, [5]], ["a"]),
    (Optional[Sequence[int]], [None, [1]], [[1, None]]),
    (Any, ["anything"], []),
    (Callable, [{"type": "A"}], []),
    (nn.Layer, ["anything"], []),
    (Dict[str, int], [{"a": 1}], []),
]


@pytest.mark.parametrize(("expected", "fitting", "others"), VALUES)
def test_values_fit_their_types(expected, fitting, others):
    assert all(signature.fits(value, expected) for value in fitting)
    assert not any(signature.fits(value, expected) for value in others)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="`X | Y` came with Python 3.10")
def test_unions_written_with_a_bar():
    expected = int | None
    assert signature.fits(3, expected)
    assert signature.fits(None, expected)
    assert not signature.fits("x", expected)
    assert signature.describe(expected) == "a whole number or Null"


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (bool, "true or false"),
        (dict, "keys and values"),
        (Optional[str], "text or Null"),
        (Union[int, Sequence[int]], "a whole number or a list of whole numbers"),
        (Literal["mean", "sum"], "'mean' or 'sum'"),
        (Sequence[float], "a list of numbers"),
        (Sequence[str], "a list of texts"),
        (Tuple[int, ...], "a list of whole numbers"),
        (typing.Sequence, "a list"),
        (Sequence[Callable], "a list"),
        (Tuple[int, str], "a list"),
        (nn.Layer, "Layer"),
    ],
)
def test_types_in_words(expected, words):
    assert signature.describe(expected) == words


def unannotated(required, number=1, ratio=0.5, name="x", flag=True, sizes=(1, 2), nothing=None):
    pass


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("required", Any),
        ("number", float),
        ("ratio", float),
        ("name", str),
        ("flag", bool),
        ("sizes", typing.Sequence),
        ("nothing", Any),
    ],
)
def test_the_default_decides_without_an_annotation(name, expected):
    assert signature.expected_type(signature.parameters(unannotated)[name]) is expected


def test_the_annotation_wins_over_the_default():
    def component(size: Sequence[int] = 3):
        pass

    assert signature.expected_type(signature.parameters(component)["size"]) == Sequence[int]


def test_parameters_of_a_class_leave_self_out():
    class Component:
        def __init__(self, a: int, *, b: "Optional[float]" = None, **more):
            pass

    known = signature.parameters(Component)
    assert list(known) == ["a", "b", "more"]
    assert known["a"].annotation is int
    assert known["b"].annotation == Optional[float]


def test_annotations_that_cannot_be_resolved_are_ignored():
    def component(a: "NoSuchType", b=2):  # noqa: F821
        pass

    known = signature.parameters(component)
    assert signature.expected_type(known["a"]) is Any
    assert signature.expected_type(known["b"]) is float


def test_a_class_without_constructor_takes_nothing():
    class Component:
        pass

    assert signature.parameters(Component) == {}
    assert not signature.accepts(Component, "a")


def test_an_inherited_constructor_and_a_wrapped_function_are_seen_through():
    class Base:
        def __init__(self, a: int):
            pass

    class Derived(Base):
        pass

    @functools.wraps(unannotated)
    def wrapped(*args, **kwargs):
        pass

    assert signature.parameters(Derived)["a"].annotation is int
    assert "sizes" in signature.parameters(wrapped)


def test_accepts_names_and_keyword_arguments():
    assert signature.accepts(unannotated, "flag")
    assert not signature.accepts(unannotated, "pretrained")
    assert signature.accepts(lambda **anything: None, "pretrained")
    assert not signature.accepts(lambda *anything: None, "pretrained")
