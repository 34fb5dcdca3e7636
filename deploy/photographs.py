"""Find the images that a path names, read them, and name their masks."""

import collections
import functools
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from bounds import VARIABLE
from decoding import decode, is_cut_jpeg, read_header, to_bytes_range
from errors import ImageError, UserError, one_line
from masks import COLORED, colored, decoded, is_own

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LEAST_SHARE = 0.26  # of the range of 16 bits; images that use less have fewer bits
# What systems and programs put beside a user's files.
COMPANIONS = ("._", "Thumbs.db", ".DS_Store", "desktop.ini")
COMPANION_FOLDERS = ("__MACOSX", "@eaDir", ".AppleDouble", ".ipynb_checkpoints", ".Trashes", "$RECYCLE.BIN")


def image_files(path):
    """Return the images that a path names, each once: an image, a folder's images, or a list's."""
    if os.path.isdir(path):
        files = without_masks(in_folder(path))
    elif path.lower().endswith(".txt") and os.path.isfile(path):
        lines = lines_of(path)
        folder = os.path.dirname(path)
        # A line is an image, whose name may hold spaces, or an image and a mask.
        whole = [os.path.isfile(os.path.join(folder, line)) for line in lines]
        names = [line if is_image else line.split()[0] for line, is_image in zip(lines, whole)]
        paths = [os.path.join(folder, name) for name in names]
        files = list({os.path.abspath(path): path for path in paths}.values())
    else:
        files = [path] if os.path.isfile(path) else []
    if not files:
        raise UserError(f"there is no image at {path}")
    return files


def in_folder(path):
    """Return the images in a folder and its subfolders, or its NumPy files if there is no image, sorted."""
    files = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in COMPANION_FOLDERS]
        files += [os.path.join(folder, name) for name in names if not name.startswith(COMPANIONS)]
    files = [file for file in files if os.path.isfile(file)]
    images = [file for file in files if file.lower().endswith(SUFFIXES)]
    return sorted(images or (file for file in files if file.lower().endswith(".npy")))


def lines_of(path):
    """Return the lines of a list of images, without empty ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"the list {path} is not UTF-8 text") from None
    if "\0" in text:
        raise UserError(f"the list {path} holds a null character, which no file name can")
    return [line.strip() for line in text.split("\n") if line.strip()]


def without_masks(files):
    """Return a folder's images without masks, as predict.py does, and print how many are left out.

    A folder's files are masks if all are PNG with a palette or in grey, the first three hold at most 64
    values, and other folders hold other images. Masks of this script are recognised anywhere by their pairs,
    NAME.png and NAME_color.png.
    """
    own = own_masks(files)
    others = [file for file in files if file not in own]
    if not others:
        return files
    if own:
        print(f"left out {len(own)} masks of an earlier run, such as {min(own)}", file=sys.stderr)
    folders = {}
    for file in others:
        folders.setdefault(os.path.dirname(file), []).append(file)
    masks = [
        folder
        for folder, inside in folders.items()
        if all(map(has_one_channel, inside)) and all(map(has_few_values, inside[:3]))
    ]
    if len(masks) == len(folders):
        return others
    for folder in masks:
        count = len(folders[folder])
        print(f"left out {count} masks in {folder}; name {folder} itself to use them", file=sys.stderr)
    return [file for file in others if os.path.dirname(file) not in masks]


def own_masks(files):
    """Return the set of those files that are masks of an earlier run or their coloured pictures."""
    pictures = {file for file in files if file.endswith(f"{COLORED}.png")}
    pairs = [(file, colored(file)) for file in files if colored(file) in pictures]
    return {file for pair in pairs if has_one_channel(pair[0]) and is_own(*pair) for file in pair}


def has_one_channel(file):
    """Tell whether a file is a PNG with a palette or in grey, by its 26th byte."""
    if not file.lower().endswith(".png"):
        return False
    try:
        with open(file, "rb") as stream:
            head = stream.read(26)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[25:] in (b"\x00", b"\x03")


def has_few_values(file):
    """Tell whether an image holds at most 64 colours; one that cannot be read does not."""
    image = decoded(file)
    if image is None:
        return False
    # One number per pixel: sorting rows of several is ten times slower.
    channels = image.reshape(*image.shape[:2], -1).astype(np.int64)
    return len(np.unique(sum(channels[..., i] << (16 * i) for i in range(channels.shape[2])))) <= 64


def read_image(file, channels=3, img_range=None, most_pixels=2**30):
    """Return an image, RGB H x W x 3, H x W, or H x W x channels, on the scale 0..255, as training does.

    It is uint8 or, if the file holds more than 8 bits or there is an `img_range` (low, high), float32. Files
    that are cut off or cannot be read are refused.
    """
    if not os.path.isfile(file):  # opening a pipe would wait for ever
        raise ImageError("there is no such file")
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise ImageError(f"it cannot be read: {error.strerror}") from None
    # OpenCV would fill the rest of a cut-off JPEG with grey.
    if not content or is_cut_jpeg(content):
        raise ImageError("it is cut off")
    header = read_header(content)
    if header.width * header.height > most_pixels:
        raise ImageError(
            f"its {header.width} x {header.height} pixels are more than {most_pixels}, a limit that the "
            f"environment variable {VARIABLE} sets"
        )
    try:
        image = to_bytes_range(decode(content, channels), img_range)
    except (cv2.error, EOFError, MemoryError):  # cv2.error: more pixels than OpenCV takes
        raise ImageError("it is cut off, or not an image that OpenCV reads") from None
    except ValueError as error:
        raise ImageError(one_line(error)) from None
    if header.bits > 8 and img_range is None and image.max() - image.min() < LEAST_SHARE * 255:
        print_once(
            f"{file} uses little of the range of its {header.bits} bits, as images of 12 bits do: then the "
            "config needs an img_range, and the model another export"
        )
    if header.alpha and channels < header.bands:
        print_once("alpha bands of images are left out, as in training")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if channels == 3 else image


@functools.lru_cache(maxsize=None)
def print_once(line):
    print(line, file=sys.stderr)


def mask_names(files):
    """Return a name for each image's mask, with the folders below the nearest common one.

    Where a mask or its coloured picture would have the name of another's, the image's suffix is included.
    """
    common = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    inner = [os.path.relpath(os.path.abspath(file), common) for file in files]
    stems = [os.path.splitext(name)[0] for name in inner]
    counts = collections.Counter([*inner, *stems, *(stem + COLORED for stem in stems)])
    return [(stem if counts[stem] == 1 else name) + ".png" for stem, name in zip(stems, inner)]
