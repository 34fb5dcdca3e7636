"""Which images a user means by a path, and a name for what is made of each."""

import collections
import dataclasses
import os
from typing import Optional

from paddleseg.errors import UserError, counted
from paddleseg.utils.list_file import read_names
from paddleseg.utils.logger import logger
from paddleseg.utils.mask_folders import mask_folders

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that a path names.

    Attributes:
        path: the image.
        mask: its mask, if a list names one, else None.
        relative: its path below the folder that was given, with "/": unique.
        name: `relative` without the suffix, unless another image would have the same: unique, too.
    """

    path: str
    mask: Optional[str]
    relative: str
    name: str


def image_files(paths):
    """Return the images that paths name, a list of paths in order, each once.

    Args:
        paths: one or several paths: of an image, of a folder (its images, and those of the folders in it,
            sorted, without `mask_folders`), or of a list, a text file (.txt) with one path a line, relative
            to the list's folder, and perhaps a mask after it, separated by a space.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    return [image.path for image in named_images(paths)]


def named_images(paths):
    """Return the `ImageFile`s that paths name, as `image_files` takes them.

    Each is named relative to the folder, or the list's folder, that was given; where a list names images
    elsewhere, to the nearest folder that holds its images. Where two would then be called the same, all are
    named relative to the nearest folder that holds all.
    """
    paths = [paths] if isinstance(paths, str) else paths
    chosen = {}
    for path in paths:
        folder, found = _found(path)
        relatives = _relative([image for image, _ in found], folder)
        for (image, mask), relative in zip(found, relatives):
            chosen.setdefault(os.path.abspath(image), (image, mask, relative))
    if not chosen:
        raise UserError(f"no image ({', '.join(SUFFIXES)}) in {', '.join(paths)}")
    files, masks, relatives = zip(*chosen.values())
    if len(set(relatives)) < len(relatives):
        relatives = _relative(files)
    stems = [os.path.splitext(relative)[0] for relative in relatives]
    uses = collections.Counter([*relatives, *stems])
    names = [stem if uses[stem] == 1 else relative for stem, relative in zip(stems, relatives)]
    return [ImageFile(*one) for one in zip(files, masks, relatives, names)]


def _found(path):
    """Return the folder that a path's images are relative to, and [image, mask or None] of each."""
    if os.path.isdir(path):
        return path, [[file, None] for file in _without_masks(path, in_folder(path))]
    if not os.path.isfile(path):
        raise UserError(f"there is no image, folder or list {path}")
    folder = os.path.dirname(path)
    return folder, _in_list(path) if path.lower().endswith(".txt") else [[path, None]]


def _without_masks(path, files):
    """Return a folder's images without the masks beside them, and say how many were left out."""
    masks = mask_folders(files)
    for folder, count in masks.items():
        logger.warning(
            f"{counted(count, 'image')} in {folder} look like the masks of others in {path}: left out; to "
            f"take them for images, name their folder itself"
        )
    return [file for file in files if os.path.dirname(file) not in masks]


def in_folder(path):
    """Return the paths of the images in a folder and in the folders in it, sorted."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(file for file in found if file.lower().endswith(SUFFIXES))


def _in_list(path):
    return [_of_line(line, os.path.dirname(path)) for line in read_names(path)]


def _of_line(line, folder):
    whole = os.path.join(folder, line)
    if os.path.isfile(whole):  # one image whose name holds spaces
        return [whole, None]
    image, *masks = (os.path.join(folder, name) for name in line.split())
    return [image, masks[0] if masks else None]


def _relative(images, folder=None):
    """Return images' paths, "/" between the parts, below a folder, or below the nearest that holds them."""
    if not images:
        return []
    images = [os.path.abspath(image) for image in images]
    root = os.path.abspath(folder or os.curdir)
    if folder is None or any(os.path.commonpath([root, image]) != root for image in images):
        root = os.path.commonpath([os.path.dirname(image) for image in images])
    return [os.path.relpath(image, root).replace(os.sep, "/") for image in images]
