"""Street scenes of one city, from a driver's view."""

import os

from paddleseg.cvlibs import manager
from paddleseg.datasets.dataset import read_list
from paddleseg.datasets.published import PublishedDataset


@manager.DATASETS.add_component
class CamVid(PublishedDataset):
    """CamVid with the 11 classes that are commonly used, 255 for what belongs to none.

    Their order is that of `CLASS_NAMES`: sky, building, pole, road, pavement, tree, sign, fence, car,
    pedestrian, bicyclist.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder of the lists, whose lines hold an image and a mask below that folder,
            separated by a space.
        mode: "train", "val" or "test", where masks may be missing.
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is not there.
    """

    NUM_CLASSES = 11
    CLASS_NAMES = (
        *("sky", "building", "pole", "road", "pavement", "tree"),
        *("sign", "fence", "car", "pedestrian", "bicyclist"),
    )
    MODES = {"train": "train", "val": "val", "test": "test"}
    SOURCE = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid"
    LAYOUT = "{train,val,test}_list.txt, one 'image mask' a line, masks of 0..10 and 255 for void"

    def _pairs(self, root):
        path = os.path.join(root, f"{self.split}_list.txt")
        return read_list(path, root, masks_needed=self.mode != "test")
