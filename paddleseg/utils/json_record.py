"""The figures of a command as a JSON file."""

import dataclasses
import json

from paddleseg.errors import UserError
from paddleseg.utils.replace_file import replace_file


def write_record(path, record):
    """Write a dataclass to a file, which is complete once it has its name.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        replace_file(path, json.dumps(dataclasses.asdict(record), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def read_record(path, make, kind):
    """Return what `make` makes of the values in a file.

    Args:
        path: the file.
        make: a function of the file's dict.
        kind: what the file is, for the message, such as "the result file of a pruning".

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return make(json.load(file))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{path} is not {kind}") from None
