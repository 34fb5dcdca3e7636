"""Folders that results go to, and the digest of a file."""

import contextlib
import hashlib
import os

from paddleseg.errors import UserError


def make_save_dir(path):
    """Make the folder of `--save_dir` if it is missing.

    Raises:
        UserError: it cannot be made or written to; better said before anything is computed for it.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"--save_dir {path!r} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"--save_dir {path!r} cannot be written to")


@contextlib.contextmanager
def new_save_dir(path):
    """Do `make_save_dir(path)`; if what follows fails, take away what it made, as far as that is empty."""
    made, parent = [], os.path.abspath(path)
    while not os.path.lexists(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    try:
        make_save_dir(path)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first that is not empty keeps those that it is in
            for folder in made:
                os.rmdir(folder)
        raise


def sha256(path):
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
