"""The data set CamVid: street scenes of one city, from a driver's view."""

from paddleseg.cvlibs import manager
from paddleseg.datasets.dataset import read_list
from paddleseg.datasets.published import PublishedDataset

_NAMES = "sky building pole road pavement tree sign fence car pedestrian bicyclist"


@manager.DATASETS.add_component
class CamVid(PublishedDataset):
    """CamVid with the 11 classes that are commonly used, and 255 for pixels of no class.

    The order of the classes is that of `CLASS_NAMES`: sky, building, pole, road, pavement, tree, sign, fence,
    car, pedestrian, bicyclist.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder of the lists. It must be given. A line of a list holds an image and a mask
            below that folder, separated by a space.
        mode: "train", "val" or "test"; in "test" masks may be missing.
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is missing.
    """

    NUM_CLASSES = 11
    CLASS_NAMES = tuple(_NAMES.split())
    MODES = {"train": "train", "val": "val", "test": "test"}  # {own: of `Dataset`}
    SOURCE = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid"
    LAYOUT = "{train,val,test}_list.txt, one 'image mask' a line, masks of 0..10 and 255 for void"

    def _pairs(self, root):
        return read_list(root / f"{self.published_mode}_list.txt", root, masks_needed=self.mode != "test")
