"""Write a data set: images, masks, and lists of both."""

import functools
import os
import re
import shutil
import tempfile

import cv2
import numpy as np
from PIL import Image

from paddleseg.annotations.lists import list_files, usual_channels
from paddleseg.annotations.records import AnnotationError
from paddleseg.errors import UserError
from paddleseg.transforms.decoding import decode, read_header
from paddleseg.utils.save_dir import make_save_dir

IMAGES, MASKS = "images", "annotations"  # PaddleSeg's names


class NewDataSet:
    """A context that writes a data set to a folder, which appears at the end, complete, or not at all.

    Args:
        folder: the folder, which must be absent or empty.
        link_images: make links to the images instead of copies.

    Attributes:
        pairs: [image, mask] of each sample, relative to the folder, with "/" between the parts.

    Raises:
        UserError: the folder holds something, or cannot be made.
    """

    def __init__(self, folder, link_images=False):
        self.folder, self._link_images = folder, link_images
        self.pairs, self._channels = [], set()

    def __enter__(self):
        refuse_full(self.folder)
        place = os.path.abspath(self.folder)
        make_save_dir(os.path.dirname(place))
        self._scratch = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=f".{os.path.basename(place)}.")
        self._taken = set()
        return self

    def __exit__(self, *error):
        shutil.rmtree(self._scratch, ignore_errors=True)

    def add(self, name, mask, content, path=None):
        """Write an image and its mask.

        Args:
            name: the image's path below the folder of images, with "/" between the parts.
            mask: uint8, H x W.
            content: the image's bytes. If EXIF data turns it, it is stored upright without losses.
            path: its file, to link to.

        Returns:
            Its item of `pairs`.

        Raises:
            AnnotationError: the name cannot be in a list, leads out of the folder, or is taken.
            UserError: the disk is full, or the like.
        """
        check_name(name)
        header = read_header(content)
        if header.orientation != 1:
            content, suffix = _upright(content, header)
            name, path = f"{os.path.splitext(name)[0]}{suffix}", None
        image, label = f"{IMAGES}/{name}", f"{MASKS}/{os.path.splitext(name)[0]}.png"
        if label in self._taken:
            label = f"{MASKS}/{name}.png"
        if image in self._taken or label in self._taken:
            raise AnnotationError("unusable name", f"another image is called {name!r} as well")
        self._taken |= {image, label}
        if self._link_images and path is not None:
            self._link(image, path)
        else:
            self._write(image, functools.partial(_write_bytes, content=content))
        self._write(label, Image.fromarray(mask).save)
        self._channels.add(usual_channels(header))
        self.pairs.append([image, label])
        return self.pairs[-1]

    def publish(self, lists, class_names):
        """Write lists, names of classes and a config, and give the folder its name.

        Args:
            lists: {file name: list of `pairs`}; see `lists.list_files`.
            class_names: the names of the classes.

        Raises:
            UserError: the disk is full, or the like.
        """
        channels = self._channels.pop() if len(self._channels) == 1 else 3
        files = list_files(self.folder, lists, class_names, img_channels=channels)
        for name, text in files.items():
            self._write(name, functools.partial(_write_bytes, content=text.encode()))
        os.chmod(self._scratch, 0o777 & ~_umask())  # mkdtemp lets nobody else read it
        try:
            if os.path.isdir(self.folder):
                os.rmdir(self.folder)
            os.rename(self._scratch, self.folder)
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {error.strerror}") from error

    def _link(self, name, path):
        self._write(name, lambda place: os.symlink(os.path.abspath(path), place))

    def _write(self, name, write):
        place = os.path.join(self._scratch, *name.split("/"))
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            write(place)
        except OSError as error:
            raise UserError(f"cannot write {name} of {self.folder}: {error.strerror or error}") from error


def refuse_full(folder):
    """Raise `UserError` unless a `save_dir` is absent or an empty folder."""
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise UserError(f"save_dir {folder!r} is not empty; name a new folder")


def check_name(name):
    """Refuse the name of an image that leads out of a folder, or that a list cannot hold.

    Args:
        name: a path with "/" between the parts.

    Raises:
        AnnotationError: the name is refused.
    """
    parts = name.split("/")
    if ".." in parts or "" in parts or os.path.isabs(name) or re.match("[A-Za-z]:", name):
        raise AnnotationError("unusable name", f"the image name {name!r} leads out of the data set")
    if name != name.strip() or not name.isprintable():
        raise AnnotationError("unusable name", f"a list cannot hold the image name {name!r}")


def _upright(content, header):
    """Return the bytes and the suffix of an image that is stored upright, without losses."""
    channels = 1 if header.bands - header.alpha == 1 else usual_channels(header)
    pixels = decode(content, channels)
    if channels in (1, 3):
        return cv2.imencode(".png", pixels)[1].tobytes(), ".png"
    with tempfile.TemporaryFile() as file:
        np.save(file, pixels)
        file.seek(0)
        return file.read(), ".npy"


def _write_bytes(place, content):
    with open(place, "wb") as file:
        file.write(content)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
