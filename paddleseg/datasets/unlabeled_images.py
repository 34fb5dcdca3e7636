"""Images without masks."""

import os
from typing import Callable, Optional, Sequence

from paddleseg.cvlibs import manager
from paddleseg.datasets.file_samples import FileSamples
from paddleseg.errors import UserError
from paddleseg.transforms import Compose
from paddleseg.utils.image_files import in_folder, read_names


@manager.DATASETS.add_component
class UnlabeledImages(FileSamples):
    """The images of a folder, or those that a list names, for a config's `unlabeled_dataset`.

    A sample is a dict with `img` (float32, C x H x W).

    Args:
        dataset_root: the folder; without a list, all images in it and below, in the order of their names.
        transforms: a list of transforms, which `Compose` chains; they must lead to the size that the images
            of the training set have.
        image_list: a UTF-8 text file that names one image a line, below `dataset_root`. Default None.
        img_channels: 3, or 1 for grey images.

    Attributes:
        file_list: a list of [image path, None].

    Raises:
        UserError: the folder or the list is missing, or holds no image.
    """

    def __init__(
        self,
        dataset_root: str,
        transforms: Sequence[Callable],
        image_list: Optional[str] = None,
        img_channels: int = 3,
    ):
        if not os.path.isdir(dataset_root):
            raise UserError(f"UnlabeledImages: dataset_root {str(dataset_root)!r} is not a folder")
        self.transforms = Compose(transforms, img_channels=img_channels)
        files = in_folder(dataset_root) if image_list is None else _listed(image_list, dataset_root)
        self.file_list = [[file, None] for file in files]
        if not files:
            there = dataset_root if image_list is None else image_list
            raise UserError(f"UnlabeledImages: there is no image in {str(there)!r}")

    def unread_sample(self, index):
        return {"img": self.file_list[index][0]}


def _listed(path, root):
    return [os.path.join(root, name) for name in read_names(path)]
