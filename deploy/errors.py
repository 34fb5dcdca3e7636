"""How mistakes are told: in one line."""


class UserError(Exception):
    """What the user can mend, in one line."""


class ImageError(UserError):
    """What is wrong with one image, or with the model for it; the others may do."""


def one_line(error):
    """Return an error's text in one line of 300 characters at most."""
    return " ".join(str(error).split())[:300]
