"""Flags of the commands, made from the fields of options, and the types of their values.

Imports nothing heavy, so that `--help` answers at once.
"""

import argparse
import dataclasses
import re
import typing

from paddleseg.commands import process
from paddleseg.options.base import fault_of, field_type
from paddleseg.options.inference import SWITCHES, EvalConfig


def add_options(parser, options, leave_out=(), hidden=()):
    """Add a flag for each field of an `Options` class.

    Args:
        parser: an `argparse.ArgumentParser`, or a group of one.
        options: the class.
        leave_out: names of fields without a flag.
        hidden: names of fields whose flag `--help` does not show, since the options refuse all other values.
    """
    for field in dataclasses.fields(options):
        if field.name not in leave_out:
            meaning = argparse.SUPPRESS if field.name in hidden else _help_text(field)
            _add_flag(parser, options, field, field.default, meaning)


def options_from(args, options, **more):
    """Return an object of an `Options` class from the parsed flags of the same names and `more`.

    Raises:
        UserError: values that exclude each other.
    """
    names = [field.name for field in dataclasses.fields(options)]
    given = {name: getattr(args, name) for name in names if hasattr(args, name)}
    return options(**{**given, **more})


def parsed(parser, options_class, *others):
    """Add the flags of `Options` classes, parse them, and prepare the process.

    Args:
        parser: a `CommandParser`.
        options_class: the class of the command's options.
        others: further classes whose flags the command has, such as `ConfigChanges`.

    Returns:
        (the parsed flags, an object of `options_class`)
    """
    for one in (options_class, *others):
        add_options(parser, one)
    args = parser.parse_args()
    options = options_from(args, options_class)
    process.prepare()
    return args, options


def add_test_config_flags(parser, keys, aug_names=("--aug_eval",)):
    """Add the flags that win over a config's `test_config`; each is None if not given.

    Args:
        parser: an `argparse.ArgumentParser`.
        keys: fields of `EvalConfig`.
        aug_names: spellings of the switch of scales and flips.
    """
    group = parser.add_argument_group("how images are inferred and measured; wins over test_config")
    for field in dataclasses.fields(EvalConfig):
        if field.name in keys:
            names = aug_names if field.name == "aug_eval" else ()
            forgotten = ", ".join(SWITCHES.get(field.name, ()))
            forgets = f"; then {forgotten} of test_config are ignored" if forgotten else ""
            _add_flag(group, EvalConfig, field, None, field.metadata["meaning"] + forgets, names)


def test_config_from(args, keys):
    """Return {key: value} of the flags of `add_test_config_flags`, None for each that was not given."""
    return {key: getattr(args, key) for key in keys}


def positive(text):
    """Return a flag's text as a whole number above 0."""
    value = count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be a whole number above 0, not 0")
    return value


def count(text):
    """Return a flag's text as a whole number of 0 or above."""
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"must be a whole number of 0 or above, not {text!r}")
    return int(text)


def _help_text(field):
    words = field.metadata["flag"].get("default_text")
    # `is not`, since 0 equals False and a default of 0 is shown.
    if words is None and field.default is not False and field.default not in (None, ()):
        words = field.default
    return field.metadata["meaning"] + ("" if words is None else f" (default: {words})")


def _add_flag(parser, options_class, field, default, meaning, names=()):
    """Add the flag of a field: a switch for a bool, else one that takes the field's type."""
    expected, flag = field_type(options_class, field), dict(field.metadata["flag"])
    names = names or flag.get("names", (f"--{field.name}",))
    keywords = {"dest": field.name, "default": default, "help": meaning}
    if meaning is not argparse.SUPPRESS:
        keywords["help"] = meaning.replace("%", "%%")
    if expected is bool and "nargs" not in flag:
        parser.add_argument(*names, action="store_true", **keywords)
        return
    item, is_list = _item_type(expected)
    if typing.get_origin(item) is typing.Literal:
        keywords["choices"] = typing.get_args(item)
    elif item is not str:
        parse = flag.get("parse") or {bool: _boolean, int: _whole, float: float}[item]
        keywords["type"] = _argparse_type(options_class, field, parse, is_list)
    if is_list or "nargs" in flag:
        keywords["nargs"] = flag.get("nargs", "+")
    keywords.update({key: flag[key] for key in ("const", "metavar", "action") if key in flag})
    parser.add_argument(*names, **keywords)


def _item_type(expected):
    """Return the type of one word of a flag, and whether the flag takes several.

    Optional[Sequence[int]] gives (int, True), Union[float, Sequence[float]] gives (float, True), and
    Optional[int] gives (int, False).
    """
    for one in (expected, *typing.get_args(expected)):
        arguments = typing.get_args(one)
        if arguments and typing.get_origin(one) not in (typing.Union, typing.Literal):
            return arguments[0], True
    alternatives = [one for one in typing.get_args(expected) if one is not type(None)]
    return (alternatives[0] if typing.get_origin(expected) is typing.Union else expected), False


def _argparse_type(options_class, field, parse, is_list):
    """Return a function for argparse: text to a value within the bounds of the field."""

    def value_of(text):
        try:
            value = parse(text)
        except ValueError as error:
            own_words = str(error) if "parse" in field.metadata["flag"] else ""
            raise argparse.ArgumentTypeError(own_words or why_not(text)) from None
        fault = fault_of(options_class, field, [value] if is_list else value)
        if fault:
            raise argparse.ArgumentTypeError(fault)
        return value

    def why_not(text):
        return fault_of(options_class, field, [text] if is_list else text) or f"not {text!r}"

    return value_of


def _whole(text):
    if not re.fullmatch(r"-?\d+", text, re.ASCII):  # int() also takes other alphabets, blanks and "1_000"
        raise ValueError
    return int(text)


def _boolean(text):
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither True nor False")
    return text.lower() == "true"
