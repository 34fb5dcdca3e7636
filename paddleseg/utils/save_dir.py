"""Make the folders that results go to, and take the digests of files."""

import contextlib
import hashlib
import os

from paddleseg.errors import UserError, one_line


def make_save_dir(path):
    """Make the folder of the option `save_dir` if it is missing, before anything is computed for it.

    Raises:
        UserError: it cannot be made or written to.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"save_dir {path!r} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"save_dir {path!r} cannot be written to")


@contextlib.contextmanager
def new_save_dir(path):
    """A context around `make_save_dir(path)` that removes the folders it made, if empty, after an error.

    Raises:
        UserError: the folder, or something in the context, cannot be written, as on a full disk.
    """
    made, parent = [], os.path.abspath(path)
    while not os.path.lexists(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    try:
        make_save_dir(path)
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first folder that is not empty ends the loop
            for folder in made:
                os.rmdir(folder)
        if isinstance(error, OSError) and error.errno is not None:  # Paddle's own, of the device, have none
            raise UserError(f"save_dir {path}: {one_line(error)}") from error
        raise


def file_digest(path, algorithm="sha256"):
    """Return the digest of a file in hexadecimal digits; `algorithm` is a name that `hashlib` knows."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
