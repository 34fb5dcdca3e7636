"""Folders of masks beside photographs, as in the root of a data set."""

import collections
import os

import numpy as np
from PIL import Image

LOOKED_AT = 3  # files of a folder whose pixels are read
FEW = 64  # values; a grey photograph has more, a mask of 150 classes shows fewer of them at once
ONE_CHANNEL = ("1", "L", "P", "I", "I;16")


def mask_folders(files):
    """Return {folder: number of files} of the folders that hold masks, where others hold photographs.

    A folder's files are masks if all are PNG with a palette or in grey, and the first ones hold few values.

    Args:
        files: paths of images.
    """
    folders = collections.defaultdict(list)
    for file in files:
        folders[os.path.dirname(file)].append(file)
    found = {folder: len(inside) for folder, inside in folders.items() if _masks(inside)}
    return found if len(found) < len(folders) else {}


def _masks(files):
    return all(map(_has_one_channel, files)) and all(map(_has_few_values, files[:LOOKED_AT]))


def _has_one_channel(file):
    if not (file.lower().endswith(".png") and os.path.isfile(file)):  # a pipe would be waited for
        return False
    try:
        with Image.open(file) as image:  # reads the head of the file alone
            return image.mode in ONE_CHANNEL
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _has_few_values(file):
    try:
        with Image.open(file) as image:
            return len(np.unique(np.asarray(image))) <= FEW
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
