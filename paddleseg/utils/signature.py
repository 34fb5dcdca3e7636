"""Read the parameters of a component's constructor, and check whether values from YAML fit their types."""

import collections.abc
import inspect
import math
import types
import typing

Sequence = (list, tuple, collections.abc.Sequence)
# From Python 3.10 to 3.13, `int | None` has another type than Optional[int].
Unions = (typing.Union, getattr(types, "UnionType", typing.Union))
_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "keys and values",
}
_PLURALS = {int: " of whole numbers", float: " of numbers", str: " of texts", dict: " of keys and values"}


def parameters(component):
    """Return the parameters of a class or function by name, `self` left out, with resolved annotations.

    Returns:
        dict from name to `inspect.Parameter`; `**kwargs` is included under its name.
    """
    function = component.__init__ if inspect.isclass(component) else component
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        hints = {}  # annotations that only a type checker can resolve are ignored
    signature = inspect.signature(component)
    return {
        name: p.replace(annotation=hints.get(name, inspect.Parameter.empty))
        for name, p in signature.parameters.items()
    }


def accepts(component, name):
    """Tell whether the constructor takes a parameter of that name."""
    known = parameters(component)
    return name in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def expected_type(parameter):
    """Return the type of a parameter: its annotation, else what its default suggests, else `Any`."""
    if parameter.annotation is not inspect.Parameter.empty:
        return parameter.annotation
    default = parameter.default
    if isinstance(default, (bool, str)):
        return type(default)
    if isinstance(default, (int, float)):
        return float  # `coef=1` without annotation may be any number
    if isinstance(default, (list, tuple)):
        return typing.Sequence
    return typing.Any


def fits(value, expected):
    """Tell whether a value from YAML may be passed to a parameter annotated with `expected`."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in Unions:
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if expected is type(None):
        return value is None
    if expected in (int, float):
        return isinstance(value, (int, expected)) and not isinstance(value, bool)
    if expected in (str, bool, dict):
        return isinstance(value, expected)
    if (origin or expected) in Sequence:
        return isinstance(value, (list, tuple)) and all(fits(v, _item_type(arguments)) for v in value)
    return True


def _item_type(arguments):
    """Return the type of a sequence's items, `Any` if they may differ."""
    types_ = {argument for argument in arguments if argument is not Ellipsis}
    return types_.pop() if len(types_) == 1 else typing.Any


def is_weight(value):
    """Tell whether a value may be the weight of a loss: a finite number of 0 or above."""
    return fits(value, float) and 0 <= value < math.inf


def describe(expected):
    """Return `expected` in words: "a whole number", "a list of numbers", "text or Null"."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in Unions:
        return " or ".join(describe(one) for one in arguments)
    if origin is typing.Literal:
        return " or ".join(repr(one) for one in arguments)
    if expected is type(None):
        return "Null"
    if (origin or expected) in Sequence:
        return "a list" + _PLURALS.get(_item_type(arguments), "")
    return _NAMES.get(expected, getattr(expected, "__name__", str(expected)))
