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
    """The images of a folder or of a list, for a config's `unlabeled_dataset`.

    A sample is a dict with `img` (float32, C x H x W).

    Args:
        dataset_root: the folder of the images.
        transforms: a list of transforms, which `Compose` chains; the images must come out as large as those
            of the training set.
        image_list: a UTF-8 text file with the name of one image per line, relative to `dataset_root`; None
            for all images in `dataset_root` and below, in the order of their names. Default None.
        img_channels: 3, 1 for grey images, or the number of bands of a TIFF or .npy.
        img_range: [low, high], the values of an image that become 0 and 255, the scale of all transforms.
            Default: the range of a file's type, if that has 8 or 16 bits.

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
        img_range: Optional[Sequence[float]] = None,
    ):
        if not os.path.isdir(dataset_root):
            raise UserError(f"UnlabeledImages: dataset_root {str(dataset_root)!r} is not a folder")
        self.transforms = Compose(transforms, img_channels=img_channels, img_range=img_range)
        if image_list is None:
            files = in_folder(dataset_root)
        else:
            files = [os.path.join(dataset_root, name) for name in read_names(image_list)]
        if not files:
            raise UserError(f"UnlabeledImages: there is no image in {str(image_list or dataset_root)!r}")
        self.file_list = [[file, None] for file in files]

    def unread_sample(self, index):
        return {"img": self.file_list[index][0]}
