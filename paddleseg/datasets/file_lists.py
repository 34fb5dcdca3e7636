"""Checks of the files that data sets list, without opening any of them."""

import functools
import os

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

SHOWN = 3


def check_file_lists(train, val, unlabeled=None, max_bad_samples=0):
    """Check that the files exist, and warn of images that are in both sets.

    A data set without a `file_list` of [image path, mask path or None] is not checked.

    Args:
        train, val, unlabeled: the data sets, or None.
        max_bad_samples: how many samples of `train`, and how many of `unlabeled`, may lack a file. Default 0.

    Raises:
        UserError: more of their samples, or any of `val`, lack a file.
    """
    limits = (("train", train, max_bad_samples), ("val", val, 0), ("unlabeled", unlabeled, max_bad_samples))
    for name, dataset, accepted in limits:
        missing = missing_files(pairs_of(dataset))
        if len(missing) > accepted:
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise UserError(
                f"{name}_dataset: {len(missing)} of {len(dataset)} samples lack a file: "
                f"{', '.join(repr(path) for path in missing[:SHOWN])}{more}; "
                f"tools/check_dataset.py --config CONFIG lists all errors"
            )
    shared = shared_images(pairs_of(train), pairs_of(val))
    if shared:
        logger.warning(
            f"{len(shared)} images of val_dataset are in train_dataset as well, the first is {shared[0]!r}; "
            f"the scores on them do not show how the model does on new images"
        )


def pairs_of(dataset):
    """Return [image path, mask path or None] of each sample; [] if the data set has no such `file_list`."""
    pairs = getattr(dataset, "file_list", None)
    return pairs if isinstance(pairs, list) and all(map(_is_pair, pairs)) else []


def _is_pair(pair):
    path = (str, os.PathLike)
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    return isinstance(pair[0], path) and isinstance(pair[1], (*path, type(None)))


def missing_files(pairs):
    """Return the first missing path of each pair that lacks a file, in order.

    Each folder is listed once: to look for every file by itself takes minutes on a network.
    """
    files_in = functools.lru_cache(maxsize=None)(_files_in)

    def exists(path):
        folder, name = os.path.split(os.fspath(path))
        # On some file systems a file has more than one spelling of its name.
        return name in files_in(folder or ".") or os.path.isfile(path)

    missing = ([path for path in pair if path is not None and not exists(path)] for pair in pairs)
    return [paths[0] for paths in missing if paths]


def _files_in(folder):
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # ValueError: no folder has a name with a null character
        return set()


def shared_images(train, val):
    """Return the image paths of `val` that `train` has as well, also if they are written differently."""
    known = {os.path.normpath(image) for image, _ in train}
    return [image for image, _ in val if os.path.normpath(image) in known]
