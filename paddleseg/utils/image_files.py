"""Which images a path or a list names, and a name for the results of each."""

import collections
import dataclasses
import os
from typing import Optional

import numpy as np
from PIL import Image

from paddleseg.errors import UserError, counted
from paddleseg.utils.logger import logger
from paddleseg.utils.pixel_limit import too_large

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARRAYS = ".npy"  # images of any number of bands, in a folder without other images
# What systems and programs put beside a user's files: previews, and what another file system cannot hold.
COMPANIONS = ("._", "Thumbs.db", ".DS_Store", "desktop.ini")
COMPANION_FOLDERS = ("__MACOSX", "@eaDir", ".AppleDouble", ".ipynb_checkpoints", ".Trashes", "$RECYCLE.BIN")
# A folder counts as masks if its first files hold at most so many values. A grey photograph holds more; even
# a mask of 150 classes shows fewer of them at once.
MASKS_READ, MASK_VALUES = 3, 64
ONE_CHANNEL = ("1", "L", "P", "I", "I;16")


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that a path names.

    Attributes:
        path: the image.
        mask: its mask, if a list names one, else None.
        relative: its path below the given folder, with "/" between the parts; unique.
        name: `relative` without the suffix, unless another image would have the same name; unique.
    """

    path: str
    mask: Optional[str]
    relative: str
    name: str


def image_files(paths):
    """Return the paths of the images that `paths` name, in order, each once.

    Args:
        paths: one path or several: of an image; of a folder, which stands for its images and those of its
            subfolders, sorted, without `mask_folders`; or of a list, a text file (.txt) with one path a line,
            relative to the list's folder. A line may name a mask after the image, separated by a space.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    return [image.path for image in named_images(paths)]


def named_images(paths):
    """Return the `ImageFile`s that `paths` name; see `image_files`.

    An image's name is relative to the folder, or the list's folder, that was given. Where a list names images
    outside of its folder, names are relative to the nearest folder that holds all its images. Where two names
    would be equal, all are relative to the nearest folder that holds all images.
    """
    paths = [paths] if isinstance(paths, str) else paths
    chosen = {}
    for path in paths:
        folder, pairs = _images_of(path)
        relatives = _relative([image for image, _ in pairs], folder)
        for (image, mask), relative in zip(pairs, relatives):
            chosen.setdefault(os.path.abspath(image), (image, mask, relative))
    if not chosen:
        raise UserError(f"no image ({', '.join(SUFFIXES)}) in {', '.join(paths)}")
    files, masks, relatives = zip(*chosen.values())
    if len(set(relatives)) < len(relatives):
        relatives = _relative(files)
    stems = [os.path.splitext(relative)[0] for relative in relatives]
    uses = collections.Counter([*relatives, *stems])
    names = [stem if uses[stem] == 1 else relative for stem, relative in zip(stems, relatives)]
    return [ImageFile(*fields) for fields in zip(files, masks, relatives, names)]


def _images_of(path):
    """Return the folder that a path's images are relative to, and [image, mask or None] of each."""
    if os.path.isdir(path):
        return path, [[file, None] for file in _without_masks(path, in_folder(path))]
    if not os.path.isfile(path):
        raise UserError(f"there is no image, folder or list {path}")
    folder = os.path.dirname(path)
    if not path.lower().endswith(".txt"):
        return folder, [[path, None]]
    return folder, [_image_and_mask(line, folder) for line in read_names(path)]


def _without_masks(path, files):
    """Return a folder's images without its folders of masks, and log how many were left out."""
    masks = mask_folders(files)
    for folder, count in masks.items():
        logger.warning(
            f"{counted(count, 'image')} in {folder} look like the masks of others in {path} and are left "
            f"out; name {folder} itself to use them as images"
        )
    return [file for file in files if os.path.dirname(file) not in masks]


def in_folder(path):
    """Return the paths of the images in a folder and its subfolders, sorted, without `is_companion` files.

    NumPy files count if there is no other image.
    """
    files = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in COMPANION_FOLDERS]
        files += [os.path.join(folder, name) for name in names if not is_companion(name)]
    images = [file for file in files if file.lower().endswith(SUFFIXES)]
    return sorted(images or (file for file in files if file.lower().endswith(ARRAYS)))


def is_companion(name):
    """Tell whether a file has the name of those that systems put beside others, such as "._photo.jpg"."""
    return name.startswith(COMPANIONS)


def _image_and_mask(line, folder):
    whole = os.path.join(folder, line)
    if os.path.isfile(whole):  # one image whose name holds spaces
        return [whole, None]
    image, *masks = (os.path.join(folder, name) for name in line.split())
    return [image, masks[0] if masks else None]


def _relative(images, folder=None):
    """Return images' paths, "/" between the parts, below a folder or the nearest that holds all of them."""
    if not images:
        return []
    images = [os.path.abspath(image) for image in images]
    root = os.path.abspath(folder or os.curdir)
    if folder is None or any(os.path.commonpath([root, image]) != root for image in images):
        root = os.path.commonpath([os.path.dirname(image) for image in images])
    return [os.path.relpath(image, root).replace(os.sep, "/") for image in images]


def mask_folders(files):
    """Return {folder: number of files} of the folders that hold masks where other folders hold photographs.

    A folder holds masks if all its files are PNG with a palette or in grey, and the first ones hold few
    values. Where all folders would, none counts as masks.

    Args:
        files: paths of images.
    """
    folders = collections.defaultdict(list)
    for file in files:
        folders[os.path.dirname(file)].append(file)
    masks = {folder: len(inside) for folder, inside in folders.items() if _are_masks(inside)}
    return masks if len(masks) < len(folders) else {}


def _are_masks(files):
    one_channel = (_read_png(file, lambda image: image.mode in ONE_CHANNEL) for file in files)
    return all(one_channel) and all(_read_png(file, _has_few_values) for file in files[:MASKS_READ])


def _has_few_values(image):
    return len(np.unique(np.asarray(image))) <= MASK_VALUES


def _read_png(file, condition):
    """Tell whether a file is a PNG that meets a condition; one that cannot be read does not."""
    if not (file.lower().endswith(".png") and os.path.isfile(file)):  # opening a pipe would wait for ever
        return False
    try:
        with Image.open(file) as image:  # reads the file's header; pixels are read only if they are used
            return too_large(*image.size) is None and condition(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read_names(path):
    """Return the lines of a list, stripped of blanks, without empty lines.

    Raises:
        UserError: as `read_lines` does.
    """
    return [line.strip() for line in read_lines(path) if line.strip()]


def read_lines(path):
    """Return the lines of a list, a UTF-8 text file, as they are.

    Raises:
        UserError: it is missing, not a plain file, or not UTF-8 text.
    """
    refusal = f"cannot read the list {str(path)!r}"
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{refusal}: it is not a plain file")  # a device or a pipe may never end
    try:
        with open(path, encoding="utf-8-sig") as file:
            # Not splitlines(), which also ends lines at characters that file names may hold.
            return file.read().split("\n")
    except FileNotFoundError:
        raise UserError(f"{refusal}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{refusal}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or a path with a null character
        raise UserError(f"{refusal}: {error}") from error
