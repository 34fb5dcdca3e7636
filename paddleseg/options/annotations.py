"""The settings of the tools that turn annotations into data sets."""

import dataclasses
from typing import Literal, Optional, Sequence

from paddleseg.options.base import Options, option


@dataclasses.dataclass(frozen=True)
class CopyOptions(Options):
    """How the images of a new data set are stored, and what happens to those that cannot be used."""

    skip_bad: bool = option(
        False, "leave out images with a fault, such as a damaged file or an unknown label, instead of ending"
    )
    link_images: bool = option(False, "make links to the images instead of copies")


@dataclasses.dataclass(frozen=True)
class ConversionOptions(CopyOptions):
    """How shapes with labels become masks of classes."""

    image_dir: Optional[str] = option(
        None, "folder of the images", default_text="the images lie where the annotations say"
    )
    class_list: Optional[str] = option(
        None,
        "text file with the name of a class in each line, class 0 first; a line `__ignore__` is no class",
        default_text="all labels of the annotations, after `_background_`",
    )
    no_background: bool = option(
        False, "ignore pixels that no shape covers, instead of making them `_background_`, class 0"
    )
    other_labels: Literal["error", "background", "ignore"] = option(
        "error",
        "for a shape whose label is not in class_list: an error, pixels of the background, or ignored pixels",
    )
    draw_order: Literal["file", "area"] = option(
        "file",
        "where shapes overlap, the one that is later in the file is on top, or the one with the smaller area",
    )


@dataclasses.dataclass(frozen=True)
class PairOptions(Options):
    """Which images and masks a data set has."""

    file_list: Optional[str] = option(
        None,
        "list of all images and masks",
        default_text="all.txt in the data set; without it, the folders are read",
    )
    image_dir: str = option("images", "folder of the images, if there is no list")
    mask_dir: str = option("annotations", "folder of the masks, if there is no list")


@dataclasses.dataclass(frozen=True)
class LabelmeOptions(PairOptions):
    """How masks become files of labelme."""

    class_list: Optional[str] = option(
        None,
        "text file with the name of a class in each line, class 0 first",
        default_text="class_names.txt in the data set, else numbers",
    )


@dataclasses.dataclass(frozen=True)
class SplitOptions(PairOptions):
    """How a data set is divided into train, val and test."""

    split: Sequence[float] = option(
        (0.8, 0.2),
        "shares of train, val and, if there are three, test",
        at_least=0,
        default_text="0.8 0.2",
        metavar="SHARE",
    )
    seed: int = option(0, "seed of the division", at_least=0)
    group_pattern: Optional[str] = option(
        None,
        "regular expression that is searched in the path of each image; images stay together if it finds the "
        "same text, or, if it has groups in brackets, the same text of these groups",
    )
    group_file: Optional[str] = option(
        None,
        "text file with the name of an image and of its group in each line; images of a group stay together",
    )
    skip_bad: bool = option(False, "leave out images whose mask cannot be read instead of ending")
    overwrite: bool = option(False, "replace existing lists, and remove one whose images are in the new ones")


@dataclasses.dataclass(frozen=True)
class VocOptions(CopyOptions):
    """How a data set in the layout of Pascal VOC is converted."""

    class_list: Optional[str] = option(
        None,
        "text file with the name of a class in each line, class 0 first",
        default_text="class_names.txt or labelmap.txt in the folder, else Pascal VOC's classes",
    )


@dataclasses.dataclass(frozen=True)
class MaskOptions(Options):
    """How masks become class indices."""

    to: Literal["grey", "palette"] = option(
        "palette", "store class indices in grey, or with a palette, so that viewers show colours"
    )
    colors: Optional[str] = option(
        None,
        "text file with 'name:red,green,blue' in each line, class 0 first, for masks of colours",
        default_text="Pascal VOC's colours",
    )
    values: Optional[Sequence[int]] = option(
        None,
        "the values that mean class 0, 1, ... in the masks, such as 0 255; other values are refused",
        at_least=0,
        metavar="VALUE",
        default_text="0 1 2 ...",
    )
    skip_bad: bool = option(False, "leave out masks with a fault instead of ending")


@dataclasses.dataclass(frozen=True)
class DrawOptions(Options):
    """Which masks are drawn over their images."""

    section: Literal["train_dataset", "val_dataset"] = option("train_dataset", "which data set of the config")
    images: int = option(12, "how many images, chosen at random by the seed", at_least=1)
    seed: int = option(0, "seed of the choice of images", at_least=0)
    columns: int = option(4, "how many images stand side by side", at_least=1)
    output: str = option("masks.jpg", "the picture to write, .jpg or .png", names=("-o", "--output"))
