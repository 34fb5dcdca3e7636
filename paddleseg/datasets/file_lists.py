"""What the lists of a data set's files tell without a file being opened."""

import os

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

SHOWN = 3


def check_file_lists(train, val, unlabeled=None, max_bad_samples=0):
    """Check that the files are there, and warn of images that are in both sets; takes a look at the folders.

    A data set without a `file_list` of [image path, mask path or None] is left alone.

    Args:
        train, val, unlabeled: the data sets, or None.
        max_bad_samples: how many samples of `train`, or of `unlabeled`, may lack a file.

    Raises:
        UserError: more of their samples, or any of `val`, lack one.
    """
    accepted_by_set = (
        ("train", train, max_bad_samples),
        ("val", val, 0),
        ("unlabeled", unlabeled, max_bad_samples),
    )
    for name, dataset, accepted in accepted_by_set:
        missing = missing_files(pairs_of(dataset))
        if len(missing) > accepted:
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise UserError(
                f"{name}_dataset: {len(missing)} of {len(dataset)} samples lack a file: "
                f"{', '.join(repr(path) for path in missing[:SHOWN])}{more}; "
                f"tools/check_dataset.py --config CONFIG names all that is wrong"
            )
    shared = shared_images(pairs_of(train), pairs_of(val))
    if shared:
        logger.warning(
            f"{len(shared)} images of val_dataset are in train_dataset as well, the first is {shared[0]!r}: "
            f"scores on them say little"
        )


def pairs_of(dataset):
    """Return a data set's [image path, mask path or None] of each sample; [] if it does not tell them."""
    pairs = getattr(dataset, "file_list", None)
    if not isinstance(pairs, list) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        return []
    texts = (str, os.PathLike)
    return (
        pairs if all(isinstance(i, texts) and isinstance(m, (*texts, type(None))) for i, m in pairs) else []
    )


def missing_files(pairs):
    """Return the first path of each pair that lacks a file, in order.

    Folders are listed, each once, rather than files asked for one by one, which takes minutes on a network.
    """
    files = {}

    def is_there(path):
        folder, name = os.path.split(os.fspath(path))
        if folder not in files:
            files[folder] = _files_in(folder or ".")
        # Some file systems know a name in more than one spelling.
        return name in files[folder] or os.path.isfile(path)

    missing = []
    for pair in pairs:
        missing += [path for path in pair if path is not None and not is_there(path)][:1]
    return missing


def _files_in(folder):
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # ValueError: no folder has a name with a null character
        return set()


def shared_images(train, val):
    """Return the image paths of `val` that `train` names as well, whatever the way they are written."""
    known = {os.path.normpath(image) for image, _ in train}
    return [image for image, _ in val if os.path.normpath(image) in known]
