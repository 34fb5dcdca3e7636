"""A data set described by lists of image and mask files."""

import os
from typing import Callable, Optional, Sequence

import numpy as np

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.class_names import check_class_names
from paddleseg.datasets.file_samples import FileSamples
from paddleseg.errors import UserError
from paddleseg.transforms import Compose
from paddleseg.transforms.common import refuse_train_only
from paddleseg.utils.image_files import read_lines

MODES = ("train", "val", "test")
MOST_NAMED = 10  # values that one line names


def read_list(path, root, separator=" ", masks_needed=True):
    """Read a list of files, one `image<separator>mask` per line; blank lines are skipped.

    Args:
        path: the list, a UTF-8 text file.
        root: the folder that the names in the list are relative to.
        separator: the text between image and mask; names that hold spaces need another one than " ".
        masks_needed: if false, a line may name an image alone.

    Returns:
        A list of [image path, mask path or None].

    Raises:
        UserError: the list is missing, empty or no UTF-8 text, or a line has another form.
    """
    files = []
    for number, line in enumerate(read_lines(path), 1):
        names = [name.strip() for name in line.split(separator) if name.strip()]
        if not names:
            continue
        if len(names) != 2 and (masks_needed or len(names) != 1):
            raise UserError(
                f"{path}:{number}: expected 'image{separator}mask', got {line[:200]!r}; "
                "if names hold the separator, set another `separator`"
            )
        paths = [os.path.join(root, name) for name in names]
        files.append(paths if len(paths) == 2 else [*paths, None])
    if not files:
        raise UserError(f"the list {str(path)!r} names no files")
    return files


def ignored_label(dataset):
    """Return the mask value that no loss and no metric counts: `ignore_index`, else `IGNORE_INDEX`, else 255.

    Args:
        dataset: any data set, also a user's, or its class.
    """
    return getattr(dataset, "ignore_index", getattr(dataset, "IGNORE_INDEX", 255))


def values_refusal(dataset, path, wrong, which=""):
    """Return [the sentence that a mask holds the values `wrong`, which are no classes]; [] if there are none.

    Args:
        dataset: the data set, with `num_classes`.
        path: the mask.
        wrong: a sorted list of whole numbers.
        which: words that follow them.
    """
    if not wrong:
        return []
    meant = "; did you mean 1 by 255?" if wrong == [255] and dataset.num_classes == 2 else ""
    return [
        f"the mask {path!r} holds {', '.join(map(str, wrong[:MOST_NAMED]))}{which}, but masks hold "
        f"0..{dataset.num_classes - 1}, or {ignored_label(dataset)} for pixels to ignore{meant}"
    ]


@manager.DATASETS.add_component
class Dataset(FileSamples):
    """Images and masks named by a list.

    A sample is a dict with `img` (float32, C x H x W), `label` (uint8 or int32, H x W; absent if there is no
    mask) and `trans_info` (the changes of size, as `Compose` lists them).

    Args:
        dataset_root: the folder that the names in the lists are relative to.
        transforms: a list of transforms, which `Compose` chains.
        num_classes: the number of classes; masks hold 0..num_classes - 1 and `ignore_index`.
        mode: "train", where masks are transformed with the images; "val", where masks keep their size, to
            which an evaluation resizes the logits; or "test", like "val", but masks may be missing.
        train_path, val_path, test_path: the list of each mode; only that of `mode` is needed.
        separator: the text between image and mask in a list.
        ignore_index: the mask value that no loss and no metric counts. Default: the class's `IGNORE_INDEX`,
            or 255 if it has none.
        img_channels: 3, 1 for grey images, or the number of bands of a TIFF or .npy.
        img_range: [low, high], the values of an image that become 0 and 255, the scale of all transforms.
            Default: the range of a file's type, if that has 8 or 16 bits.
        class_names: the names of the classes in logs, curves and reports, in their order. Default: the
            class's `CLASS_NAMES`, or numbers alone if it has none.

    Attributes:
        file_list: a list of [image path, mask path or None].

    Raises:
        UserError: a file or folder is missing, or an argument is out of its range.
    """

    def __init__(
        self,
        dataset_root: str,
        transforms: Sequence[Callable],
        num_classes: int,
        mode: str = "train",
        train_path: Optional[str] = None,
        val_path: Optional[str] = None,
        test_path: Optional[str] = None,
        separator: str = " ",
        ignore_index: Optional[int] = None,
        img_channels: int = 3,
        class_names: Optional[Sequence[str]] = None,
        img_range: Optional[Sequence[float]] = None,
    ):
        name = type(self).__name__
        if mode not in MODES:
            raise UserError(f"{name}: mode must be one of {', '.join(MODES)}, not {mode!r}")
        if num_classes < 1:
            raise UserError(f"{name}: num_classes must be 1 or more, not {num_classes!r}")
        if class_names is not None:
            check_class_names(class_names, num_classes, name)
            self.class_names = tuple(class_names)
        if not separator:
            raise UserError(f"{name}: separator must not be empty")
        if not os.path.isdir(dataset_root):
            raise UserError(f"{name}: dataset_root {str(dataset_root)!r} is not a folder")
        path = {"train": train_path, "val": val_path, "test": test_path}[mode]
        if path is None:
            raise UserError(f"{name}: mode {mode!r} needs {mode}_path, the list of its files")
        self.ignore_index = ignored_label(type(self)) if ignore_index is None else ignore_index
        self.transforms = Compose(
            transforms, img_channels=img_channels, img_range=img_range, ignore_index=self.ignore_index
        )
        if mode != "train":
            refuse_train_only(self.transforms.transforms, f"{name} in mode {mode!r}")
        self.num_classes = num_classes
        self.mode = mode
        self.dataset_root = dataset_root
        self.file_list = self.find_files(path, separator)

    def find_files(self, path, separator):
        """Return [image path, mask path or None] of each sample; a derived class may do without a list."""
        return read_list(path, self.dataset_root, separator, masks_needed=self.mode != "test")

    def read_label(self, path):
        """Return the mask for `Compose`: its path, or an array of classes if the file holds other numbers."""
        return path

    def unread_sample(self, index):
        image, mask = self.file_list[index]
        if mask is None:
            return {"img": image}
        fields = ["label"] if self.mode == "train" else []
        return {"img": image, "label": self.read_label(mask), "gt_fields": fields}

    def check_sample(self, data, index):
        path = self.file_list[index][1]
        if path is None:
            return
        label = data["label"]
        wrong = label >= self.num_classes
        if label.dtype != np.uint8:
            wrong |= label < 0
        wrong &= label != self.ignore_index
        if wrong.any():
            raise UserError(
                *values_refusal(self, path, sorted(set(label[wrong].tolist())), " (padding included)")
            )
