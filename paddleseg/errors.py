"""Errors that the user can correct, and helpers for their messages."""

import contextlib
import difflib
import re


class UserError(Exception):
    """A mistake that the user can correct.

    Its message says what is wrong, where, and what would be right; commands print it and exit with status 2.
    Any other exception is a bug and keeps its traceback.
    """


class SampleError(UserError):
    """A sample whose files are missing, damaged, or of different sizes.

    Training may go on without it (option `max_bad_samples`). A mask with a value that is not a class is not a
    `SampleError`: the config or all masks are wrong.
    """


class Stopped(BaseException):
    """A signal has ended the training, which was saved; the commands exit with 128 + the signal's number.

    As with `KeyboardInterrupt`, `except Exception` does not catch it.
    """

    together = True  # all ranks are stopped at the same step

    def __init__(self, signum):
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


@contextlib.contextmanager
def refusals_of_backward():
    """Within this context, a `UserError` that a backward pass raises comes out as it is.

    Paddle turns what Python raises there into an `OSError`, whose text has the message among C++ frames.
    """
    try:
        yield
    except OSError as error:
        found = re.search(r"\bUserError: (.+)", str(error))
        if found is None:
            raise
        raise UserError(found[1].strip()) from error


def one_line(error):
    """Return the message of an exception as one line, or the name of its type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def counted(count, noun):
    """Return a number with a regular noun: "1 loss", "2 losses"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def nearest(name, candidates, most=3, cutoff=0.6):
    """Return up to `most` of the `candidates` that resemble `name`, the best first, as strings.

    `cutoff` is the least similarity, 0 to 1, as `difflib` defines it.
    """
    by_folded = {str(c).lower(): str(c) for c in candidates}
    matches = difflib.get_close_matches(str(name).lower(), list(by_folded), n=most, cutoff=cutoff)
    return [by_folded[key] for key in matches]


def suggestion(name, candidates):
    """Return a clause with the candidates nearest to `name`, else the first 20 of all."""
    candidates = sorted({str(c) for c in candidates})
    close = nearest(name, candidates)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not candidates:
        return "there is none to choose from"
    return "there are " + ", ".join(repr(c) for c in candidates[:20])
