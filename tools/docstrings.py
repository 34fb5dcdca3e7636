"""Descriptions of components and of their parameters, read from docstrings."""

import dataclasses
import inspect
import re

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.MULTILINE)
# "student_channels, teacher_channels: C of the two features", at the depth that Args' names have.
_NAMES = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): ?(.*)$")


def prose(component):
    """Return the text of a docstring before its first section."""
    return _SECTION.split(inspect.getdoc(component) or "", maxsplit=1)[0].rstrip()


def meanings(component):
    """Return {name: meaning} of the parameters of a class or function.

    A class inherits what its own docstring does not describe. Options have metadata in their fields instead.
    """
    if dataclasses.is_dataclass(component):
        return {field.name: field.metadata["meaning"] for field in dataclasses.fields(component)}
    described = {}
    for owner in reversed(inspect.getmro(component)) if inspect.isclass(component) else (component,):
        described.update(arguments(owner.__doc__ or ""))
    return described


def arguments(text):
    """Return {name: meaning} of the parameters in the section `Args` of a docstring."""
    parts = _SECTION.split(inspect.cleandoc(text))
    sections = dict(zip(parts[1::2], parts[2::2]))
    described, names = {}, ()
    for line in sections.get("Args", "").splitlines():
        start = _NAMES.match(line)
        if start:
            names = [name.lstrip("*") for name in start[1].split(", ")]
            described.update(dict.fromkeys(names, start[2]))
        elif line.strip():
            described.update({name: f"{described[name]} {line.strip()}" for name in names})
    return described
