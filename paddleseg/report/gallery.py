"""The pictures of the page: where distillation helped most, and where it hurt most."""

import dataclasses
import itertools
import os
from typing import List, Optional, Tuple

from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.cvlibs.facts import normalizations
from paddleseg.datasets.dataset import ignored_label
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.distill.teachers.onnx_teacher import ONNXTeacher
from paddleseg.errors import UserError, counted, one_line
from paddleseg.monitoring.validation_pictures import photograph, spread_indices
from paddleseg.report.examples import compare, extremes, mask_of
from paddleseg.report.pictures import data_uri, masked
from paddleseg.report.rebuild import builder_of, model_of
from paddleseg.report.runs import teacher_file
from paddleseg.utils.logger import logger
from paddleseg.utils.pictures import class_colors


@dataclasses.dataclass(frozen=True)
class Shown:
    """An image of the page.

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
    """The images of the page, or why there are none.

    Attributes:
        helped, hurt: lists of `Shown`, those with the largest change first.
        colors: of the classes, list of (name, CSS colour).
        notes: sentences.
        missing: why there are none, a sentence; None where there are some.
    """

    helped: List[Shown] = dataclasses.field(default_factory=list)
    hurt: List[Shown] = dataclasses.field(default_factory=list)
    colors: List[Tuple[str, str]] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)
    missing: Optional[str] = None


def gallery(found, images, compared):
    """Return the `Gallery` of the first distilled student and its plain one.

    Args:
        found: the `comparisons` of the runs.
        images: how many to show at most.
        compared: how many to run the two students on at most.
    """
    if images == 0:
        return Gallery(missing="None were asked for (--images 0).")
    pair = _pair(found)
    if pair is None:
        return Gallery(missing="It takes a distilled run and a plain run of the same model, both evaluated.")
    try:
        return _gallery(*pair, images, compared)
    except UserError as error:
        return Gallery(missing=f"The models could not be run: {one_line(error)}")


def _pair(found):
    """Return a comparison, a distilled and a plain run of it that have weights, of equal seed if possible."""
    for comparison in found:
        shown = [
            [run for run in group if run.weights and run.best and run.best["class_iou"]]
            for group in (comparison.distilled, comparison.plain)
        ]
        pairs = sorted(itertools.product(*shown), key=lambda pair: _seed(pair[0]) != _seed(pair[1]))
        if pairs:
            return (comparison, *pairs[0])
    return None


def _seed(run):
    return run.about.get("seed")


def _gallery(comparison, distilled, plain, images, compared):
    for section in ("val_dataset", "test_config"):
        if distilled.config.get(section) != plain.config.get(section):
            return Gallery(missing=f"{distilled.name} and {plain.name} differ in their {section}.")
    beside = distilled.about.get("config_path")
    sections = ("val_dataset", "test_config") if distilled.config.get("test_config") else ("val_dataset",)
    builder = builder_of(distilled.config, sections, distilled.run_file, beside)
    dataset, config = builder.val_dataset, builder.eval_config
    models = {run.name: _model(run) for run in (plain, distilled)}
    num_classes = len(distilled.best["class_iou"])
    indices = spread_indices(len(dataset), compared)
    logger.info(f"running {plain.name} and {distilled.name} on {counted(len(indices), 'validation image')}")
    examples = compare(*models.values(), dataset, num_classes, indices, config)
    helped, hurt = extremes(examples, images)
    if not (helped or hurt):
        return Gallery(missing=_why_none(plain, distilled, examples))
    show = _Picturing(dataset, config, num_classes, (plain.name, distilled.name))
    notes = _explained(plain, distilled, examples, len(dataset))
    try:
        with_teacher = {"teacher": _teacher(comparison, distilled), **models}
        shown = [[show(example, with_teacher) for example in group] for group in (helped, hurt)]
    except UserError as error:
        # The students have seen these images already: it is the teacher that is not here or cannot take them.
        notes.append(f"The teacher is not shown: {one_line(error).rstrip('.')}.")
        shown = [[show(example, models) for example in group] for group in (helped, hurt)]
    return Gallery(*shown, _colors(num_classes, class_names(dataset)), notes)


def _model(run):
    return model_of(run.config, run.weights, run.run_file, run.about.get("config_path"))


def _teacher(comparison, distilled):
    """Return the first teacher's model; a `UserError` says why there is none."""
    for run in comparison.teachers:
        if run.weights:
            return _model(run)
    teacher = next(iter(distilled.about.get("teachers") or []), {})
    path = teacher_file(teacher)
    if not path:
        raise UserError(f"{distilled.run_file} names no file of its weights")
    if not os.path.exists(path):
        raise UserError(f"its file, {path}, is not on this machine")
    where = f"{distilled.run_file}: teachers.0.config"
    model = model_of(
        teacher.get("config") or {}, teacher.get("weights"), where, distilled.about.get("config_path")
    )
    if isinstance(model, ONNXTeacher):
        (_, mean, std), *_ = normalizations(distilled.config, ["val_dataset"])
        if mean is None:
            raise UserError(f"{path} must know how images are normalised, and no config says it")
        model.normalized_by(mean, std)
    return model


class _Picturing:
    """Turns an `Example` into what is shown of it."""

    def __init__(self, dataset, config, num_classes, scored):
        self._dataset = dataset
        self._samples = SeededSamples(dataset, seed=0, keep=("trans_info",))
        self._config = config
        self._num_classes = num_classes
        self._scored = scored

    def __call__(self, example, models):
        sample = self._samples[0, example.index]
        picture = photograph(self._dataset, example.index, sample)
        ignore_index = ignored_label(self._dataset)
        masks = {"photograph": None, "truth": sample["label"]}
        masks.update({name: mask_of(model, sample, self._config) for name, model in models.items()})
        scores = dict(zip(self._scored, (example.plain, example.distilled)))
        pictures = [
            (
                f"{name} {scores[name]:.4f}" if name in scores else name,
                data_uri(masked(picture, mask, self._num_classes, ignore_index)),
            )
            for name, mask in masks.items()
        ]
        files = getattr(self._dataset, "file_list", None)
        title = os.path.basename(str(files[example.index][0])) if files else f"image {example.index}"
        return Shown(title, f"{example.gain:+.4f}", pictures)


def _colors(num_classes, names):
    if num_classes <= 2:
        return []
    colors = class_colors(num_classes)[:num_classes]
    # Black leaves a photograph as it is.
    css = ["rgb({}, {}, {})".format(*color) if color.any() else "transparent" for color in colors]
    return list(zip(labelled(names, num_classes), css))


def _why_none(plain, distilled, examples):
    if not examples:
        return "None of the validation images that were compared has a pixel that counts."
    return (
        f"No image is shown, since {distilled.name} and {plain.name} have the same mean IoU on each "
        f"validation image that was compared, {len(examples)} in all."
    )


def _explained(plain, distilled, examples, count):
    better = sum(example.gain > 0 for example in examples)
    worse = sum(example.gain < 0 for example in examples)
    images = counted(count, "validation image")
    return [
        f"{distilled.name} beside {plain.name} on {len(examples)} of {images}: better on {better}, worse on "
        f"{worse}. The figures are an image's mean IoU over the classes that its truth holds."
    ]
