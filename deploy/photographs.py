"""The photographs that a path means: found, read, and named for their masks."""

import collections
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from colors import COLORED, colored, decoded, is_own
from errors import ImageError, UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def image_files(path):
    """Return the images that a path means, each once: itself, those of a folder, or those of a list."""
    if os.path.isdir(path):
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        images = (file for file in found if file.lower().endswith(SUFFIXES) and os.path.isfile(file))
        files = without_masks(sorted(images))
    elif path.lower().endswith(".txt") and os.path.isfile(path):
        lines = lines_of(path)
        folder = os.path.dirname(path)
        # A line is an image, whose name may hold spaces, or an image and a mask.
        whole = [os.path.isfile(os.path.join(folder, line)) for line in lines]
        names = [line if known else line.split()[0] for line, known in zip(lines, whole)]
        paths = [os.path.join(folder, name) for name in names]
        files = list({os.path.abspath(path): path for path in paths}.values())
    else:
        files = [path] if os.path.isfile(path) else []
    if not files:
        raise UserError(f"there is no image at {path}")
    return files


def lines_of(path):
    """Return the lines of a list of images, the empty ones left out."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"the list {path} is no text in UTF-8") from None
    if "\0" in text:
        raise UserError(f"the list {path} holds a null character, which no file's name may")
    return [line.strip() for line in text.split("\n") if line.strip()]


def without_masks(files):
    """Return a folder's images without the masks in it, as predict.py leaves them out; say how many.

    A folder's files are masks if all are PNG with a palette or in grey, the first three hold 64 values at
    most, and other folders hold other images. What this script has written before is known by its pairs, a
    NAME.png and its NAME_color.png, wherever they lie.
    """
    own = own_masks(files)
    others = [file for file in files if file not in own]
    if not others:
        return files
    if own:
        print(f"left out, as masks of an earlier run: {len(own)}, such as {min(own)}", file=sys.stderr)
    folders = {}
    for file in others:
        folders.setdefault(os.path.dirname(file), []).append(file)
    masks = [f for f, inside in folders.items() if all(map(is_flat, inside)) and all(map(is_few, inside[:3]))]
    if len(masks) == len(folders):
        return others
    for folder in masks:
        told = f"{folder}, with {len(folders[folder])}; to take them for images, name their folder"
        print(f"left out, as masks: {told}", file=sys.stderr)
    return [file for file in others if os.path.dirname(file) not in masks]


def own_masks(files):
    """Return the set of those files that are masks of an earlier run, or their pictures for people."""
    pictures = {file for file in files if file.endswith(f"{COLORED}.png")}
    masks = [
        file for file in files if colored(file) in pictures and is_flat(file) and is_own(file, colored(file))
    ]
    return {*masks, *map(colored, masks)}


def is_flat(file):
    """Tell whether a file is a PNG with a palette or in grey, as the 26th byte of it says."""
    if not file.lower().endswith(".png"):
        return False
    try:
        with open(file, "rb") as stream:
            head = stream.read(26)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[25:] in (b"\x00", b"\x03")


def is_few(file):
    """Tell whether an image holds 64 colours at most; one that cannot be read does not."""
    image = decoded(file)
    if image is None:
        return False
    # One number a pixel: rows of them would be sorted ten times as slowly.
    channels = image.reshape(*image.shape[:2], -1).astype(np.int64)
    return len(np.unique(sum(channels[..., i] << (16 * i) for i in range(channels.shape[2])))) <= 64


def read_image(file, channels=3):
    """Return an image, uint8 H x W x 3 (RGB) or H x W; refuse what cannot be read or is cut off."""
    if not os.path.isfile(file):  # a pipe would be waited for
        raise ImageError("there is no such file")
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise ImageError(f"it cannot be read: {error.strerror}") from None
    # OpenCV would fill up a cut-off JPEG with grey.
    if not content or is_cut_jpeg(content):
        raise ImageError("it is cut off")
    try:
        flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error:  # more pixels than OpenCV takes
        image = None
    if image is None:
        raise ImageError("it is cut off, or no image that OpenCV reads")
    return image if channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def is_cut_jpeg(content):
    """Tell whether a JPEG lacks its end marker; a thumbnail's within the header does not count."""
    if not content.startswith(b"\xff\xd8"):
        return False
    place = 2
    # Each segment before the picture itself says how long it is.
    while place + 4 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == 0xDA:
            return content.find(b"\xff\xd9", place) < 0
        filler = content[place + 1] == 0xFF
        place += 1 if filler else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return b"\xff\xd9" not in content


def mask_names(files):
    """Return a name for each image's mask; folders below the common one are kept.

    Where it would be another's, or that of another's picture for people, the image's suffix is in it.
    """
    common = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    inner = [os.path.relpath(os.path.abspath(file), common) for file in files]
    stems = [os.path.splitext(name)[0] for name in inner]
    counts = collections.Counter([*inner, *stems, *(stem + COLORED for stem in stems)])
    return [(stem if counts[stem] == 1 else name) + ".png" for stem, name in zip(stems, inner)]
