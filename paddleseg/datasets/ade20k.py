"""Scenes of all kinds."""

from paddleseg.cvlibs import manager
from paddleseg.datasets.published import PublishedDataset, pair_by_stem, read_ids

_FOLDERS = {"train": "training", "val": "validation"}
_CLASSES = {id_: id_ - 1 for id_ in range(1, 151)}


@manager.DATASETS.add_component
class ADE20K(PublishedDataset):
    """The scene parsing benchmark of ADE20K, http://sceneparsing.csail.mit.edu, with 150 classes.

    Its masks hold 0 for what belongs to no class, which becomes `ignore_index`, and 1..150 for the classes,
    which become 0..149.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder of images and annotations, "ADEChallengeData2016" as it is published.
        mode: "train" or "val".
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is not there, or an image has no mask.
    """

    NUM_CLASSES = len(_CLASSES)
    SOURCE = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
    LAYOUT = "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png"

    def _pairs(self, root):
        images, masks = (root / kind / _FOLDERS[self.split] for kind in ("images", "annotations"))
        stems = sorted(path.stem for path in images.glob("*.jpg"))
        return pair_by_stem(images, masks, stems)

    def read_label(self, path):
        return read_ids(path, _CLASSES, len(_CLASSES) + 1, self.ignore_index)
