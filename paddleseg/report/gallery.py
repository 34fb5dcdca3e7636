"""The pictures of the page: where distillation helped most, and where it hurt most."""

import base64
import dataclasses
import itertools
import os
from typing import List, Optional, Tuple

import cv2

from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.distill.teachers.teacher_only import gives_logits
from paddleseg.errors import UserError, counted, one_line
from paddleseg.evaluation.photographs import predict_sample
from paddleseg.monitoring.validation_pictures import photograph, spread_indices
from paddleseg.report.examples import compare, extremes
from paddleseg.report.rebuild import builder_of, model_of, teacher_of
from paddleseg.report.runs import on_same_images, teacher_file
from paddleseg.utils.logger import logger
from paddleseg.utils.pictures import class_colors, overlay, shrunk, shrunk_mask

LONGEST = 360  # pixels of a side of a picture
IGNORED = 255


@dataclasses.dataclass(frozen=True)
class Shown:
    """An image on the page.

    Attributes:
        title: the name of its file.
        gain: what distillation gained on it, a text.
        pictures: list of (caption, data URI).
    """

    title: str
    gain: str
    pictures: List[Tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Gallery:
    """The images on the page, or why there are none.

    Attributes:
        helped, hurt: lists of `Shown`, the largest change first.
        colors: of the classes, list of (name, CSS colour).
        notes: sentences.
        missing: why there are no images, a sentence; None where there are some.
    """

    helped: List[Shown] = dataclasses.field(default_factory=list)
    hurt: List[Shown] = dataclasses.field(default_factory=list)
    colors: List[Tuple[str, str]] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)
    missing: Optional[str] = None


def gallery(comparisons, images, compared):
    """Return the `Gallery` of the first distilled student and the plain student it is compared with.

    Args:
        comparisons: the `comparisons` of the runs.
        images: how many images to show at most.
        compared: how many images to run the two students on at most.
    """
    if images == 0:
        return Gallery(missing="The option images is 0.")
    pair = _pair(comparisons)
    if pair is None:
        return Gallery(missing="It takes a distilled run and a plain run of the same model, both evaluated.")
    try:
        return _compared_gallery(*pair, images, compared)
    except UserError as error:
        return Gallery(missing=f"The models could not be run: {one_line(error)}")


def masked(picture, mask, num_classes, ignore_index=255):
    """Return a picture of at most `LONGEST` pixels a side, its classes tinted in their `class_colors`.

    Ignored pixels are not tinted.

    Args:
        picture: uint8 H x W x 3, BGR.
        mask: classes, H x W; None tints nothing.
        num_classes: number of classes.
        ignore_index: the value of ignored pixels in `mask`.
    """
    picture = shrunk(picture, LONGEST)
    if mask is None:
        return picture
    mask = shrunk_mask(mask, LONGEST)
    mask[mask == ignore_index] = IGNORED
    return overlay(picture, mask, class_colors(num_classes), ignore_index=IGNORED)


def teacher_model(comparison, distilled):
    """Return the model of a distilled run's first teacher.

    Raises:
        UserError: its weights or its file are not here, or it cannot be built.
    """
    for run in comparison.teachers:
        if run.weights:
            return teacher_of(run.config, run.weights, distilled.config, run.run_file, run.config_path)
    teacher = next(iter(distilled.teachers), {})
    path = teacher_file(teacher)
    if not path:
        raise UserError(f"{distilled.run_file} names no file of its weights")
    if not os.path.exists(path):
        raise UserError(f"its file, {path}, is not on this machine")
    given = (teacher.get("config") or {}, teacher.get("weights"), distilled.config)
    model = teacher_of(*given, f"{distilled.run_file}: teachers.0.config", distilled.config_path)
    if not gives_logits(model):
        raise UserError(f"{path} gives features and no logits")
    return model


def _pair(comparisons):
    """Return (comparison, distilled run, plain run), both with weights and of equal seed if possible."""
    for comparison in comparisons:
        usable = [
            [run for run in group if run.weights and run.best and run.best["class_iou"]]
            for group in (comparison.distilled, comparison.plain)
        ]
        pairs = sorted(itertools.product(*usable), key=lambda pair: pair[0].seed != pair[1].seed)
        if pairs:
            return (comparison, *pairs[0])
    return None


def _compared_gallery(comparison, distilled, plain, images, compared):
    equal = {
        "val_dataset": on_same_images([distilled, plain], prepared_alike=True),
        "test_config": distilled.config.get("test_config") == plain.config.get("test_config"),
    }
    for section in (name for name, is_equal in equal.items() if not is_equal):
        return Gallery(missing=f"{distilled.name} and {plain.name} differ in their {section}.")
    sections = ("val_dataset", "test_config") if distilled.config.get("test_config") else ("val_dataset",)
    builder = builder_of(distilled.config, sections, distilled.run_file, distilled.config_path)
    dataset, config = builder.val_dataset, builder.eval_config
    models = {run.name: _model(run) for run in (plain, distilled)}
    num_classes = len(distilled.best["class_iou"])
    indices = spread_indices(len(dataset), compared)
    logger.info(f"running {plain.name} and {distilled.name} on {counted(len(indices), 'validation image')}")
    examples = compare(*models.values(), dataset, num_classes, indices, config)
    groups = extremes(examples, images)
    if not any(groups):
        return Gallery(missing=_why_none(plain, distilled, examples))
    show = _ExamplePictures(dataset, config, num_classes, (plain.name, distilled.name))
    notes = [_summary(plain, distilled, examples, len(dataset))]
    try:
        with_teacher = {"teacher": teacher_model(comparison, distilled), **models}
        shown = [[show(example, with_teacher) for example in group] for group in groups]
    except UserError as error:
        # The students have already run on these images, so it is the teacher that cannot.
        notes.append(f"The teacher is not shown: {one_line(error).rstrip('.')}.")
        shown = [[show(example, models) for example in group] for group in groups]
    return Gallery(*shown, _colors(num_classes, class_names(dataset)), notes)


def _model(run):
    return model_of(run.config, run.weights, run.run_file, run.config_path)


class _ExamplePictures:
    """Runs models on the image of an `Example`, and returns it as a `Shown`."""

    def __init__(self, dataset, config, num_classes, students):
        self._dataset = dataset
        self._samples = SeededSamples(dataset, seed=0, keep=("trans_info",))
        self._config = config
        self._num_classes = num_classes
        self._students = students

    def __call__(self, example, models):
        sample = self._samples[0, example.index]
        picture = photograph(self._dataset, example.index, sample)
        masks = {"photograph": None, "truth": sample["label"]}
        masks.update({name: predict_sample(model, sample, self._config) for name, model in models.items()})
        scores = dict(zip(self._students, (example.plain, example.distilled)))
        pictures = [
            (f"{name} {scores[name]:.4f}" if name in scores else name, self._data_uri(picture, mask))
            for name, mask in masks.items()
        ]
        files = getattr(self._dataset, "file_list", None)
        title = os.path.basename(str(files[example.index][0])) if files else f"image {example.index}"
        return Shown(title, f"{example.gain:+.4f}", pictures)

    def _data_uri(self, picture, mask):
        """Return a masked picture as a JPEG in a data URI."""
        shown = masked(picture, mask, self._num_classes, ignored_label(self._dataset))
        _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 88])
        return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _colors(num_classes, names):
    if num_classes <= 2:
        return []
    colors = class_colors(num_classes)[:num_classes]
    # Black does not tint a photograph.
    css = ["rgb({}, {}, {})".format(*color) if color.any() else "transparent" for color in colors]
    return list(zip(labelled(names, num_classes), css))


def _why_none(plain, distilled, examples):
    if not examples:
        return "None of the compared validation images has a pixel that counts."
    return (
        f"No image is shown, since {distilled.name} and {plain.name} have the same mean IoU on each compared "
        f"validation image, {len(examples)} in all."
    )


def _summary(plain, distilled, examples, count):
    better = sum(example.gain > 0 for example in examples)
    worse = sum(example.gain < 0 for example in examples)
    images = counted(count, "validation image")
    return (
        f"{distilled.name} compared with {plain.name} on {len(examples)} of {images}: better on {better}, "
        f"worse on {worse}. The figures are the mean IoU over the classes in an image's truth."
    )
