"""Which images a user means by a path."""

import os

from paddleseg.errors import UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def image_files(paths):
    """Return the images that paths name, in order.

    Args:
        paths: one or several paths: of an image, of a folder (its images, and those of the folders in it,
            sorted), or of a list, a text file (.txt) with one path a line, relative to the list's folder; of
            a line `image mask` the image alone counts.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    files = []
    for path in [paths] if isinstance(paths, str) else paths:
        if os.path.isdir(path):
            files += _in_folder(path)
        elif not os.path.isfile(path):
            raise UserError(f"there is no image, folder or list {path}")
        elif path.lower().endswith(".txt"):
            files += _in_list(path)
        else:
            files.append(path)
    if not files:
        raise UserError(
            f"no image ({', '.join(SUFFIXES)}) in {paths if isinstance(paths, str) else ', '.join(paths)}"
        )
    return files


def _in_folder(path):
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(file for file in found if file.lower().endswith(SUFFIXES))


def _in_list(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the list {path}: {error}") from None
    return [os.path.join(os.path.dirname(path), line.split()[0]) for line in lines if line.strip()]
