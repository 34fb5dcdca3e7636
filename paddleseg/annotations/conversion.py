"""Annotations to a data set: every image is converted whole, or not at all."""

import os

import numpy as np

from paddleseg.annotations.classes import class_list
from paddleseg.annotations.coco import CocoFile
from paddleseg.annotations.labelme import labelme_files, read_labelme
from paddleseg.annotations.lists import ALL, usual_channels
from paddleseg.annotations.new_data_set import NewDataSet
from paddleseg.annotations.raster import check_inside
from paddleseg.annotations.records import AnnotationError, Faults
from paddleseg.errors import UserError, counted
from paddleseg.transforms.decoding import read_header
from paddleseg.transforms.reading import decode_image, read_bytes
from paddleseg.utils.image_files import in_folder
from paddleseg.utils.progress_bar import bar

REMEDY = "correct the files, or leave out such images by --skip_bad"


def convert_labelme(paths, save_dir, options):
    """Convert JSON files of labelme.

    Args:
        paths: files, or folders that are searched with their subfolders.
        save_dir: the folder of the new data set.
        options: `ConversionOptions`.

    Returns:
        Lines: how many images were converted, what was left out, and what may be wrong.

    Raises:
        UserError: something is wrong with the annotations, and `options.skip_bad` is off; nothing is written.
    """
    faults, records = Faults(), []
    for path, root in labelme_files(paths):
        with faults.caught("damaged file", path):
            records.append(read_labelme(path, root, options.image_dir))
    folders = [options.image_dir] if options.image_dir else [path for path in paths if os.path.isdir(path)]
    used = {os.path.abspath(record.path) for record in records if record.path}
    left = sum(os.path.abspath(path) not in used for folder in folders for path in in_folder(folder))
    notes = [f"images without a JSON file, which are left out: {left}"] if left else []
    labels = [shape.label for record in records for shape in record.shapes]
    return _convert(records, dict.fromkeys(labels), save_dir, options, faults, notes)


def convert_coco(path, save_dir, options):
    """Convert a JSON file of COCO; see `convert_labelme`.

    Args:
        path: the file.
        save_dir, options: as in `convert_labelme`.
    """
    coco = CocoFile(path, options.image_dir)
    records = []
    for number, place in enumerate(coco.places()):
        with coco.faults.caught("damaged annotation", place):
            records.append(coco.record(number))
    return _convert(records, coco.labels, save_dir, options, coco.faults, [])


def _convert(records, labels, save_dir, options, faults, notes):
    classes = class_list(options, labels)
    drawn = Drawn()
    with NewDataSet(save_dir, options.link_images) as data_set:
        for record in bar(records, label="converting"):
            own = Faults()
            with own.caught("unusable image", record.where):
                content = read_bytes(record.path, "image") if record.read is None else record.read()
                mask = draw_mask(record, _size(record, content), classes, options.draw_order, own, drawn)
                if not own.lines:
                    data_set.add(record.name, mask, content, record.path)
            faults.merge(own)
        publish(data_set, {ALL: data_set.pairs}, classes.names, faults, options.skip_bad)
    head = f"{save_dir}: {counted(len(data_set.pairs), 'image')}, {counted(len(classes.names), 'class')}"
    return [head, *faults.left_out(), *(f"note: {line}" for line in [*notes, *drawn.notes()])]


def publish(data_set, lists, class_names, faults, skip_bad):
    """Publish a `NewDataSet`, or raise `UserError` if there are faults that are not to be skipped.

    Args:
        data_set: the `NewDataSet`.
        lists, class_names: as it takes them.
        faults: the `Faults`.
        skip_bad: whether samples may be missing because of them.
    """
    if not skip_bad:
        faults.refuse(REMEDY)
    if not data_set.pairs:
        raise UserError(f"no image could be converted: {'; '.join(faults.lines[:1]) or 'there is none'}")
    data_set.publish(lists, class_names)


class Drawn:
    """Counts of shapes that leave no pixel, and of images without a shape, with the first place of each."""

    def __init__(self):
        self._places = {}

    def note(self, kind, place):
        """Count a place of a kind."""
        self._places.setdefault(kind, []).append(place)

    def notes(self):
        """Return a line for each kind."""
        return [f"{kind}: {len(places)}, the first is {places[0]}" for kind, places in self._places.items()]


def draw_mask(record, size, classes, draw_order, faults, drawn):
    """Return the mask of a `Record`, uint8 H x W.

    Args:
        record: the `Record`.
        size: (height, width).
        classes: the `ClassList`.
        draw_order: "file": later shapes cover earlier ones; "area": smaller shapes cover larger ones.
        faults: the `Faults` to which those of the shapes are added.
        drawn: the `Drawn` to count in.
    """
    pieces = []
    for shape in record.shapes:
        place = f"{record.where}: {shape.where}"
        with faults.caught("unusable shape", place):
            value = classes.value_of(shape.label)
            area = shape.area(*size)
            check_inside(area, *size)
            pieces.append((value, area.region(*size), place))
    if draw_order == "area":
        pieces.sort(key=lambda piece: -int(piece[1].mask.sum()))
    canvas = np.zeros(size, np.int32)  # the number of the piece on top, from 1 on
    for number, (_, (top, left, inside), _) in enumerate(pieces, 1):
        height, width = inside.shape
        canvas[top : top + height, left : left + width][inside] = number
    on_top = set(np.unique(canvas).tolist())
    for number, (_, region, place) in enumerate(pieces, 1):
        if number not in on_top:
            covered = region.mask.any()
            drawn.note(
                "shapes wholly under others" if covered else "shapes without the centre of a pixel", place
            )
    if not record.shapes:
        drawn.note("images without a shape", record.where)
    return np.array([classes.unlabelled, *(value for value, *_ in pieces)], np.uint8)[canvas]


def upright_size(content, path):
    """Return the (height, width) of the upright image that a file's bytes hold, all of which is decoded.

    Args:
        content: the bytes.
        path: the file, for messages.

    Raises:
        SampleError: it is damaged, or no image.
    """
    header = read_header(content)
    channels = usual_channels(header)
    img_range = None if header.bits in (0, 8) else (0, 1)  # the values do not matter here
    return decode_image(content, path, channels, img_range)[0].shape[:2]


def _size(record, content):
    """Return the (height, width) of a record's image, which must be those of the annotations."""
    path = record.path or record.name
    size = upright_size(content, path)
    if record.size is not None and record.size != size:
        turned = read_header(content).orientation >= 5 and record.size == size[::-1]
        hint = "; it was annotated as it is stored, not upright as its EXIF data says" if turned else ""
        raise AnnotationError(
            "wrong size",
            f"the annotations are for {record.size[1]} x {record.size[0]}, and the image {path!r} is "
            f"{size[1]} x {size[0]} (width x height){hint}",
        )
    return size
