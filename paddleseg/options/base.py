"""What an option is: a field of a frozen dataclass that knows its meaning, its default and its bounds."""

import dataclasses
import typing

from paddleseg.errors import UserError, suggestion
from paddleseg.utils import signature


def option(default, meaning, *, at_least=None, at_most=None, **flag):
    """Return a dataclass field for one option.

    Args:
        default: its default.
        meaning: what it does, as `--help` prints it.
        at_least, at_most: the bounds of a number, both inclusive; None for none. `at_most` needs `at_least`.
            Default None.
        **flag: what `paddleseg.commands.flags` cannot tell from the field's type, all optional: `names`
            (other spellings), `metavar`, `action`, `const` (the value of the flag without a word behind it),
            `nargs`, `parse` (text to value) and `default_text` (the default in words).
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    return dataclasses.field(default=default, metadata={"meaning": meaning, "flag": flag, **bounds})


@dataclasses.dataclass(frozen=True)
class Options:
    """The base of all options: frozen, and checked when they are made.

    Raises:
        UserError: a value is not of its field's type, or out of its bounds.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            fault = fault_of(type(self), field, value)
            if fault:
                raise UserError(f"{field.name} {fault}")


def options_of(options_class, caller, elsewhere=None, **given):
    """Return the `Options` of keyword arguments.

    Args:
        options_class: a class derived from `Options`.
        caller: the function that was given them, for messages.
        elsewhere: {field that the caller does not take: why}. Default none.
        **given: the values.

    Raises:
        UserError: there is no such field, or its value is wrong.
    """
    refused = elsewhere or {}
    known = {field.name for field in dataclasses.fields(options_class)} - set(refused)
    for name in given:
        if name not in known:
            raise UserError(f"{caller} takes no {name!r}; {refused.get(name) or suggestion(name, known)}")
    return options_class(**given)


def field_type(options_class, field):
    """Return the resolved annotation of a field of an `Options` class."""
    return signature.parameters(options_class)[field.name].annotation


def fault_of(options_class, field, value):
    """Return why a value does not fit, such as "must be a whole number above 0, not 0", else None."""
    expected = field_type(options_class, field)
    low, high = (field.metadata.get(key) for key in ("at_least", "at_most"))
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if signature.fits(value, expected) and all(_within(number, low, high) for number in numbers):
        return None
    words = signature.describe(expected).removesuffix(" or Null")
    return f"must be {words}{_bounds_text(low, high)}, not {value!r}"


def _within(value, low, high):
    if isinstance(value, (str, bool, dict, type(None))):
        return True  # only numbers have bounds
    return (low is None or low <= value) and (high is None or value <= high)


def _bounds_text(low, high):
    if low is None and high is None:
        return ""
    if high is None:
        return " above 0" if low == 1 else f" of {low} or above"
    return f" from {low} to {high}"


TEACHER_ENGINES = "{auto,paddle,onnxruntime}"  # as help shows them; engines of users may join them


@dataclasses.dataclass(frozen=True)
class DeviceOptions(Options):
    """Where a run computes, and by which library."""

    device: typing.Literal["auto", "gpu", "cpu"] = option(
        "auto", "where to compute; auto takes a GPU if there is one"
    )
    conv_engine: typing.Literal["auto", "paddle", "onednn"] = option(
        "auto",
        "what computes convolutions and resizes maps on a CPU: Paddle, or the oneDNN and MKL in its wheel, "
        "which are faster; auto takes onednn where it can, and a resumed training keeps its engine",
    )


@dataclasses.dataclass(frozen=True)
class RunOptions(DeviceOptions):
    """Where a run computes, how it reads data, and what a terminal shows meanwhile."""

    num_workers: int = option(0, "processes that read data; 0 reads in the main process", at_least=0)
    log_style: typing.Literal["auto", "bar", "plain"] = option(
        "auto",
        "progress bars on stderr, or log lines alone; auto shows bars if stdout and stderr are both a "
        "terminal, bar shows them if stderr is one",
    )
