"""Pictures of a few validation images with the predictions of the models."""

import os
import re

import cv2
import numpy as np

from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError
from paddleseg.evaluation.inference import WHOLE, eval_mode
from paddleseg.evaluation.photographs import predict_sample
from paddleseg.transforms.reading import read_picture
from paddleseg.utils.pictures import class_colors, overlay, palette, sheet, shrunk, shrunk_mask

LONGEST = 240  # pixels of a side; with larger pictures each evaluation would add megabytes to the log
CAPTION_SCALE = 2  # VisualDL shows a row at a third of its size
IGNORED = 255
WRONG = palette([0, 0, 0, 255, 0, 0])


class ValidationPictures:
    """Draws a row of pictures for each image: image, truth, predictions of teachers and model, errors.

    Args:
        dataset: in evaluation mode; its classes are drawn in their `class_colors`.
        model: the model that is trained.
        teachers: {name: model in eval mode}, frozen: each predicts an image once.
        count: the number of images, evenly spread over the data set.
        config: an `EvalConfig`: how images are inferred. Default: as a whole.
    """

    def __init__(self, dataset, model, teachers, count, config=WHOLE):
        self._dataset = dataset
        self._model = model
        self._teachers = teachers
        self._colors = class_colors(getattr(dataset, "num_classes", None))
        self._indices = spread_indices(len(dataset), count)
        self._config = config
        self._samples = SeededSamples(dataset, seed=0, keep=("trans_info",))
        self._starts = {}

    def __call__(self):
        """Return {name: uint8 H x W x 3, BGR}, a row for each image; the mode of the model stays as it is."""
        captions = ["image", "truth", *self._teachers, "student" if self._teachers else "model", "wrong"]
        style = {"gap": 4, "caption_scale": CAPTION_SCALE}
        with eval_mode(self._model):
            return {self._name(i): sheet([self._row(i)], captions, **style) for i in self._indices}

    def _row(self, index):
        sample = self._samples[0, index]
        if index not in self._starts:
            self._starts[index] = self._start_of_row(index, sample)
        start, truth = self._starts[index]
        image, mask = start[0], self._mask(self._model, sample)
        wrong = (mask != truth) & (truth != IGNORED)
        faint = cv2.addWeighted(image, 0.5, np.full_like(image, 128), 0.5, 0)
        return [*start, self._tinted(image, mask), overlay(faint, wrong, WRONG, alpha=0.8)]

    def _start_of_row(self, index, sample):
        """Return the pictures that training does not change, and the truth at their size."""
        image = shrunk(photograph(self._dataset, index, sample), LONGEST)
        truth = shrunk_mask(sample["label"], LONGEST)
        truth[truth == ignored_label(self._dataset)] = IGNORED
        masks = [self._mask(teacher, sample) for teacher in self._teachers.values()]
        return [image, *(self._tinted(image, mask) for mask in (truth, *masks))], truth

    def _mask(self, model, sample):
        return shrunk_mask(predict_sample(model, sample, self._config), LONGEST)

    def _tinted(self, image, mask):
        return overlay(image, mask, self._colors, ignore_index=IGNORED)

    def _name(self, index):
        files = getattr(self._dataset, "file_list", None)
        name = os.path.splitext(os.path.basename(files[index][0]))[0] if files else "image"
        return f"{index}_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"


def spread_indices(count, most):
    """Return at most `most` indices below `count`, evenly spread, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))]


def photograph(dataset, index, sample):
    """Return an image of a data set as a picture of its mask's size, uint8 H x W x 3, BGR.

    Args:
        dataset: the data set. If it has no `file_list`, the picture is made from the input of the model.
        index: of the sample.
        sample: the sample, as `SeededSamples` gives it.
    """
    files = getattr(dataset, "file_list", None)
    picture = _picture(dataset, files[index][0]) if files else None
    if picture is None:
        image = sample["img"][[2, 1, 0] if len(sample["img"]) == 3 else [0, 0, 0]]
        low, high = image.min(), image.max()
        picture = ((image - low) * (255 / max(high - low, 1e-6))).astype(np.uint8).transpose(1, 2, 0)
    height, width = sample["label"].shape
    return cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_AREA)


def _picture(dataset, path):
    """Return a file as a picture, None if it is none, as for a data set that reads files in its own way."""
    compose = getattr(dataset, "transforms", None)
    channels, img_range = getattr(compose, "img_channels", 3), getattr(compose, "img_range", None)
    try:
        return read_picture(path, 3 if channels == 1 else channels, img_range)
    except UserError:
        return None
