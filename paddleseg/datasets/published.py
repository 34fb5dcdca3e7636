"""The base of the published data sets, which find their files by the layout of their folders."""

import os
from pathlib import Path
from typing import Callable, Optional, Sequence

import numpy as np

from paddleseg.datasets.dataset import Dataset
from paddleseg.errors import UserError
from paddleseg.transforms.reading import read_mask


class PublishedDataset(Dataset):
    """A data set that finds images and masks by the layout of its folders, not by lists.

    Its modes are its own, such as "trainval": a derived class gives them in `MODES`, and finds the files of
    each in `_pairs`.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder that holds the set as it was published.
        mode: a key of `MODES`.
        ignore_index: the mask value that no loss and no metric counts.

    Attributes:
        published_mode: the argument `mode`.
        mode: the mode in which `Dataset` reads the samples, `MODES[published_mode]`.

    Raises:
        UserError: the set is missing or incomplete, or there is no such mode.
    """

    NUM_CLASSES: int
    CLASS_NAMES: Sequence[str] = ()  # for logs, curves and reports
    MODES = {"train": "train", "val": "val"}  # {mode of this set: mode of `Dataset`}
    SOURCE: str  # where it is published
    LAYOUT: str  # its files, for messages

    def __init__(
        self,
        transforms: Sequence[Callable],
        dataset_root: Optional[str] = None,
        mode: str = "train",
        ignore_index: int = 255,
    ):
        name = type(self).__name__
        if mode not in self.MODES:
            raise UserError(f"{name}: mode must be one of {', '.join(self.MODES)}, not {mode!r}")
        if dataset_root is None:
            raise UserError(f"{name}: dataset_root is missing; {self._remedy()}")
        if not os.path.isdir(dataset_root):
            raise UserError(f"{name}: there is no folder {str(dataset_root)!r}; {self._remedy()}")
        self.published_mode = mode
        dataset_mode = self.MODES[mode]
        super().__init__(
            dataset_root=str(dataset_root),
            transforms=transforms,
            num_classes=self.NUM_CLASSES,
            mode=dataset_mode,
            ignore_index=ignore_index,
            **{f"{dataset_mode}_path": str(dataset_root)},
        )

    def _remedy(self):
        return f"it is not downloaded: get it from {self.SOURCE} and lay it out as {self.LAYOUT}"

    def find_files(self, path, separator):
        try:
            files = self._pairs(Path(self.dataset_root))
        except (UserError, OSError) as error:
            raise UserError(f"{type(self).__name__}: {error}; {self._remedy()}") from error
        if not files:
            raise UserError(
                f"{type(self).__name__}: {self.dataset_root!r} holds no images of mode "
                f"{self.published_mode!r}; {self._remedy()}"
            )
        return files

    def _pairs(self, root):
        """Return [image path, mask path or None] of each sample of `published_mode`, in a fixed order."""
        raise NotImplementedError


def pair_by_stem(images, masks, stems):
    """Return [`images`/stem.jpg, `masks`/stem.png] of each stem.

    Raises:
        UserError: a file is missing; the message names the first one.
        OSError: a folder is missing.
    """
    pairs = []
    present = {folder: set(os.listdir(folder)) for folder in (images, masks)}
    for stem in stems:
        for folder, name in ((images, f"{stem}.jpg"), (masks, f"{stem}.png")):
            if name not in present[folder]:
                raise UserError(f"there is no file {str(folder / name)!r}")
        pairs.append([str(images / f"{stem}.jpg"), str(masks / f"{stem}.png")])
    return pairs


def read_ids(path, classes, num_ids, ignore_index):
    """Read a mask of ids as classes: uint8, or int32 if `ignore_index` is not in 0..255.

    Args:
        path: the mask, whose values are 0..num_ids - 1.
        classes: dict from id to class; an id that is not in it becomes `ignore_index`.

    Raises:
        UserError: the mask cannot be read, or holds a value that is no id.
    """
    ids = read_mask(path)
    wrong = ids[(ids < 0) | (ids >= num_ids)]
    if wrong.size:
        raise UserError(f"the mask {str(path)!r} holds {wrong[0]}, but its ids are 0..{num_ids - 1}")
    table = np.full(num_ids, ignore_index, np.uint8 if 0 <= ignore_index <= 255 else np.int32)
    table[list(classes)] = list(classes.values())
    return table[ids]
