"""The data set Cityscapes: street scenes of fifty cities."""

import os

from paddleseg.cvlibs import manager
from paddleseg.datasets.published import PublishedDataset, read_ids
from paddleseg.errors import UserError
from paddleseg.utils.image_files import is_companion

# The label ids that have a class, with their names, in the order of the classes ("train ids"), as in
# https://github.com/mcordts/cityscapesScripts/blob/master/cityscapesscripts/helpers/labels.py
NAMES = {
    **{7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole"},
    **{19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person"},
    **{25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"},
}
CLASSES = {id_: index for index, id_ in enumerate(NAMES)}
NUM_IDS = 34
_IMAGE = "_leftImg8bit.png"
_MASKS = ("_gtFine_labelTrainIds.png", "_gtFine_labelIds.png")


@manager.DATASETS.add_component
class Cityscapes(PublishedDataset):
    """Cityscapes, https://www.cityscapes-dataset.com, with its fine annotations and 19 classes.

    `*_labelTrainIds.png`, which hold classes, are read as they are. If an image has only `*_labelIds.png`,
    the label ids of the 19 classes are turned into classes, the others into `ignore_index`.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder of leftImg8bit and gtFine. It must be given.
        mode: "train", "val" or "test"; the masks of test, which are not public, may be missing.
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is missing, or an image of train or val has no mask.
    """

    NUM_CLASSES = 19
    CLASS_NAMES = tuple(NAMES.values())
    MODES = {"train": "train", "val": "val", "test": "test"}  # {own: of `Dataset`}
    SOURCE = "https://www.cityscapes-dataset.com (leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip)"
    LAYOUT = (
        "leftImg8bit/<mode>/<city>/*_leftImg8bit.png and "
        "gtFine/<mode>/<city>/*_gtFine_labelTrainIds.png or *_gtFine_labelIds.png"
    )

    def _pairs(self, root):
        masks = root / "gtFine" / self.published_mode
        present = {str(path) for path in masks.glob("*/*.png")}
        pairs = []
        for image in sorted((root / "leftImg8bit" / self.published_mode).glob(f"*/*{_IMAGE}")):
            if is_companion(image.name):
                continue
            stem = masks / image.parent.name / image.name[: -len(_IMAGE)]
            mask = next((f"{stem}{ending}" for ending in _MASKS if f"{stem}{ending}" in present), None)
            if mask is None and self.mode != "test":
                raise UserError(f"there is neither {stem}{_MASKS[0]} nor {os.path.basename(stem)}{_MASKS[1]}")
            pairs.append([str(image), mask])
        return pairs

    def read_label(self, path):
        if not path.endswith(_MASKS[1]):
            return path
        return read_ids(path, CLASSES, NUM_IDS, self.ignore_index)
