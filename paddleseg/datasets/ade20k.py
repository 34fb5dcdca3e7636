"""The data set ADE20K: scenes of all kinds."""

from paddleseg.cvlibs import manager
from paddleseg.datasets.published import PublishedDataset, pair_by_stem, read_ids
from paddleseg.utils.image_files import is_companion

_FOLDERS = {"train": "training", "val": "validation"}
_CLASSES = {id_: id_ - 1 for id_ in range(1, 151)}
# The first of the names that the benchmark's objectInfo150.txt has for each class.
_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base,
box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator,
grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge,
bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen
island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land,
bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt,
canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle,
oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen,
blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
monitor, bulletin board, shower, radiator, glass, clock, flag
"""


@manager.DATASETS.add_component
class ADE20K(PublishedDataset):
    """The scene parsing benchmark of ADE20K, http://sceneparsing.csail.mit.edu, with 150 classes.

    Its masks hold 0 for pixels of no class, which becomes `ignore_index`, and 1..150 for the classes, which
    become 0..149.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder of images and annotations, "ADEChallengeData2016" as it is published. It must
            be given.
        mode: "train" or "val".
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is missing, or an image has no mask.
    """

    NUM_CLASSES = len(_CLASSES)
    CLASS_NAMES = tuple(" ".join(name.split()) for name in _NAMES.split(","))
    SOURCE = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
    LAYOUT = "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png"

    def _pairs(self, root):
        images, masks = (root / kind / _FOLDERS[self.published_mode] for kind in ("images", "annotations"))
        stems = sorted(path.stem for path in images.glob("*.jpg") if not is_companion(path.name))
        return pair_by_stem(images, masks, stems)

    def read_label(self, path):
        return read_ids(path, _CLASSES, len(_CLASSES) + 1, self.ignore_index)
