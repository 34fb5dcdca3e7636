"""Errors that are reported in one line."""


class UserError(Exception):
    """A mistake that the user can correct."""


class ImageError(UserError):
    """One image cannot be used, or not by the model; the others may be fine."""


def one_line(error):
    """Return an error's text in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
