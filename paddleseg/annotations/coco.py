"""Annotations of COCO, https://cocodataset.org/#format-data: one JSON file for all images."""

import collections
import functools
import os

from paddleseg.annotations.json_file import item, numbers, read_json
from paddleseg.annotations.raster import Bitmap, Polygon, Union
from paddleseg.annotations.records import Faults, Record, Shape, find_image
from paddleseg.annotations.rle import decode_rle
from paddleseg.errors import UserError


class CocoFile:
    """A JSON file of COCO.

    Attributes:
        labels: the names of the categories, in the order of their ids.
        faults: the `Faults` of annotations that belong to no image.

    Args:
        path: the file.
        image_dir: the folder of the images. Default: the folder of the file.

    Raises:
        UserError: the file is damaged, or not COCO's.
    """

    def __init__(self, path, image_dir=None):
        self._path, self._image_dir = path, image_dir
        self.faults = Faults()
        try:
            content = read_json(path)
            self._images = item(content, "images", list)
            categories = sorted(
                (item(one, "id", int), item(one, "name", str)) for one in item(content, "categories", list)
            )
            annotations = item(content, "annotations", list)
            ids = {item(image, "id", int) for image in self._images}
        except UserError as error:
            raise UserError(f"{path} cannot be read as a file of COCO: {error}") from None
        self._names = dict(categories)
        self.labels = list(dict.fromkeys(self._names.values()))
        self._annotations = collections.defaultdict(list)
        for number, annotation in enumerate(annotations):
            with self.faults.caught("damaged annotation", f"{path}: annotations[{number}]"):
                image = item(annotation, "image_id", int)
                if image not in ids:
                    raise UserError(f"its image_id {image} is the id of no image")
                self._annotations[image].append((number, annotation))

    def __len__(self):
        return len(self._images)

    def places(self):
        """Return the place of each image in the file, for messages."""
        return [f"{self._path}: images[{number}]" for number in range(len(self))]

    def record(self, number):
        """Return the `Record` of an image.

        Raises:
            UserError: there is no such file, or an annotation is damaged.
        """
        image = self._images[number]
        stated = item(image, "file_name", str)
        folder = os.path.dirname(self._path) or "."
        path, name = find_image(stated, folder, self._image_dir, folder)
        size = tuple(item(image, key, int, default=0) for key in ("height", "width"))
        shapes = [self._shape(*one) for one in self._annotations[image["id"]]]
        return Record(self.places()[number], name, path, None, size if all(size) else None, shapes)

    def _shape(self, number, annotation):
        where = f"annotations[{number}]"
        try:
            category = item(annotation, "category_id", int)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        return Shape(
            where, self._names.get(category, f"category_id {category}"), functools.partial(_area, annotation)
        )


def _area(annotation, height, width):
    segmentation = item(annotation, "segmentation", (list, dict))
    if isinstance(segmentation, list):
        if not segmentation:
            raise UserError("its 'segmentation' is empty")
        return Union(tuple(Polygon(numbers(ring, "polygon", least=3)) for ring in segmentation))
    size = item(segmentation, "size", list, default=[height, width])
    if size != [height, width]:
        raise UserError(f"the size of its RLE is {repr(size)[:40]}, that of the image {[height, width]}")
    return Bitmap(0, 0, decode_rle(item(segmentation, "counts", (list, str)), height, width))
