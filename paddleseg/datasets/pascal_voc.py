"""The data set Pascal VOC 2012: everyday objects."""

from paddleseg.cvlibs import manager
from paddleseg.datasets.published import PublishedDataset, pair_by_stem
from paddleseg.utils.image_files import read_names

_NAMES = """
background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person
pottedplant sheep sofa train tvmonitor
"""
# {mode: [(name of a list of images, folder of their masks), ...]}
_LISTS = {
    "train": [("train", "SegmentationClass")],
    "trainval": [("trainval", "SegmentationClass")],
    "trainaug": [("train", "SegmentationClass"), ("aug", "SegmentationClassAug")],
    "val": [("val", "SegmentationClass")],
}


@manager.DATASETS.add_component
class PascalVOC(PublishedDataset):
    """Pascal VOC 2012, http://host.robots.ox.ac.uk/pascal/VOC, with its background and 20 classes.

    Its masks hold 255 for the outlines of objects.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder that holds VOC2012, "VOCdevkit" as it is published. It must be given.
        mode: "train", "trainval", "val" or "trainaug". "trainaug" is train and the images that aug.txt lists,
            those of the Semantic Boundaries Dataset (http://home.bharathh.info/pubs/codes/SBD/download.html),
            with masks in SegmentationClassAug, as PaddleSeg's voc_augment.py lays them out.
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is missing, or a file that it lists is.
    """

    NUM_CLASSES = 21
    CLASS_NAMES = tuple(_NAMES.split())
    MODES = {
        "train": "train",
        "trainval": "train",
        "trainaug": "train",
        "val": "val",
    }  # {own: of `Dataset`}
    SOURCE = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
    LAYOUT = (
        "VOC2012/JPEGImages/*.jpg, VOC2012/SegmentationClass/*.png and "
        "VOC2012/ImageSets/Segmentation/{train,val,trainval}.txt; for mode trainaug also "
        "VOC2012/SegmentationClassAug/*.png and VOC2012/ImageSets/Segmentation/aug.txt"
    )

    def _pairs(self, root):
        home = root / "VOC2012"
        pairs = []
        for list_name, masks in _LISTS[self.published_mode]:
            stems = read_names(home / "ImageSets" / "Segmentation" / f"{list_name}.txt")
            pairs += pair_by_stem(home / "JPEGImages", home / masks, stems)
        return pairs
