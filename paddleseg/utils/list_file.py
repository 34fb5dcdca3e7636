"""Text files that list other files."""

import os

from paddleseg.errors import UserError


def read_names(path):
    """Return what the lines of a list hold, without blanks around it and without blank lines.

    Raises:
        UserError: as `read_lines` does.
    """
    return [line.strip() for line in read_lines(path) if line.strip()]


def read_lines(path):
    """Return the lines of a list, a UTF-8 text file, as they are.

    Raises:
        UserError: it is missing, no plain file, or no UTF-8 text.
    """
    told = f"cannot read the list {str(path)!r}"
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{told}: it is no plain file")  # a device or a pipe may never end
    try:
        with open(path, encoding="utf-8-sig") as file:
            # Not splitlines(), which also ends lines at characters that file names may hold.
            return file.read().split("\n")
    except FileNotFoundError:
        raise UserError(f"{told}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{told}: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or a name with a null character
        raise UserError(f"{told}: {error}") from error
