"""What the user can mend, told in one place and in one way."""

import difflib


class UserError(Exception):
    """A mistake that the user can mend.

    The commands print its message, which says what is wrong, where, and what would be right, and
    exit with status 2. Anything else that is raised is a bug of ours and keeps its traceback.
    """


class SampleError(UserError):
    """A sample whose files cannot be used: missing, damaged, or of different sizes.

    Training may go on without it (`--max_bad_samples`). A mask that holds what is no class is none of these:
    it tells of a mistake in the config or in all masks.
    """


class Stopped(BaseException):
    """A signal has ended the training, after it was saved; the commands exit with 128 + its number.

    Like `KeyboardInterrupt` it passes by every `except Exception`.
    """

    together = True  # all ranks are stopped at the same step

    def __init__(self, signum):
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


def one_line(error):
    """Return the message of an exception as one line, its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def counted(count, noun):
    """Return a number with its noun, a regular one: "1 loss", "2 losses"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def nearest(name, candidates, most=3):
    """Return up to `most` of the `candidates` (strings) that resemble `name`, the best first."""
    by_folded = {str(c).lower(): str(c) for c in candidates}
    found = difflib.get_close_matches(str(name).lower(), list(by_folded), n=most, cutoff=0.6)
    return [by_folded[key] for key in found]


def suggestion(name, candidates):
    """Return a clause naming what `name` may have meant: the nearest candidates, else all of them."""
    candidates = sorted({str(c) for c in candidates})
    close = nearest(name, candidates)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not candidates:
        return "there is none to choose from"
    return "there are " + ", ".join(repr(c) for c in candidates[:20])
