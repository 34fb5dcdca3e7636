"""What a training of a comparison gave."""

import dataclasses
import os
from typing import List, Optional

import numpy as np
import paddle

from paddleseg.comparing.plan import PLAIN, TEACHER, slug
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError, one_line
from paddleseg.evaluation.cost import parameter_count
from paddleseg.evaluation.evaluator import confusions_of_images
from paddleseg.evaluation.metrics import compute_scores
from paddleseg.evaluation.photographs import logits_of
from paddleseg.report import read_runs
from paddleseg.report.rebuild import builder_of, teacher_of
from paddleseg.report.runs import CONFUSIONS
from paddleseg.training.evaluating import number_of_classes
from paddleseg.utils.logger import logger
from paddleseg.weights.load import load_weights, read_weights


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of a plan.

    Attributes:
        method: a method of the plan, or `TEACHER`.
        seed: of the training.
        iters: its iterations; None for the teacher's own number.
    """

    method: str
    seed: int
    iters: Optional[int] = None

    @property
    def distilled(self):
        """Whether a student learns from the teacher."""
        return self.method not in (PLAIN, TEACHER)

    @property
    def name(self):
        """The name of its folder."""
        count = "" if self.iters is None else f"_{self.iters}"
        return f"{slug(self.method)}{count}_seed{self.seed}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished training gave.

    Attributes:
        training: the `Training`.
        folder: where it is; None if only its weights are given.
        miou: on the validation images.
        class_iou: list, one for each class.
        parameters: number of the model's parameters; None if it is not known.
        weights: path of its best weights; None for a teacher that brings its own.
        seconds: of all its iterations together, without evaluations; None if only its weights are given.
    """

    training: Training
    folder: Optional[str]
    miou: float
    class_iou: List[float]
    parameters: Optional[int]
    weights: Optional[str]
    seconds: Optional[float]

    def confusions(self):
        """Return the confusion matrix of each validation image, N x C x C; measured once and kept."""
        (run,) = read_runs([self.folder])
        if run.confusions is not None:
            return run.confusions
        path = os.path.join(self.folder, CONFUSIONS)
        builder = builder_of(run.config, _sections(run.config), run.run_file, run.config_path)
        load_weights(builder.model, self.weights)
        dataset, config = builder.val_dataset, builder.eval_config
        matrices = confusions_of_images(builder.model, dataset, len(self.class_iou), config=config)
        np.savez_compressed(path + ".part.npz", matrices=matrices)
        os.replace(path + ".part.npz", path)
        return matrices


def seconds_of_steps(run):
    """Return the seconds that all logged iterations of a `Run` took, without evaluations."""
    last, total = 0, 0.0
    for iteration, seconds in run.paces():
        total += (iteration - last) * seconds
        last = iteration
    return total


def result_of_run(training, folder):
    """Return the `Result` of a finished training in a folder."""
    (run,) = read_runs([folder])
    return Result(
        training,
        folder,
        run.best["miou"],
        run.best["class_iou"],
        parameter_count(read_weights(run.weights)),
        run.weights,
        seconds_of_steps(run),
    )


def _sections(config):
    """Return the sections of a config by which its model is evaluated."""
    return ("model", "val_dataset", *(["test_config"] if config.get("test_config") else []))


def result_of_teacher(training, teacher, student, weights=None, data=None):
    """Return the `Result` of a given teacher, evaluated on the student's images.

    The result is None if the teacher cannot be evaluated on these. It may still teach, since the images of
    the training may have another size, and maps another number of classes.

    Args:
        training: the `Training` that the result names.
        teacher: path of the config that has the model.
        student: path of the config that has `val_dataset` and `test_config`.
        weights: path of the file; None for a teacher-only model, which brings its own. Default None.
        data: folder of the data set. Default None, the one of the student's config.

    Raises:
        UserError: the student's config has no `val_dataset`, or the weights are not the model's.
    """
    (of_teacher, _), (of_student, _) = load_config(teacher), load_config(student)
    model = teacher_of(of_teacher, weights, of_student, teacher, teacher)
    if data is not None and "val_dataset" in of_student:
        of_student["val_dataset"] = {**of_student["val_dataset"], "dataset_root": data}
    builder = builder_of(of_student, _sections(of_student)[1:], student, student)
    dataset = builder.val_dataset
    problem = _why_not(model, builder)
    if problem is not None:
        logger.warning(
            f"{teacher}: the teacher has no row in the table, since it cannot be evaluated: {problem}"
        )
        return None
    matrices = confusions_of_images(model, dataset, number_of_classes(builder), config=builder.eval_config)
    scores = compute_scores(matrices.sum(axis=0))
    parameters = None if weights is None else parameter_count(read_weights(weights))
    return Result(training, None, scores.miou, list(scores.class_iou), parameters, weights, None)


@paddle.no_grad()
def _why_not(model, builder):
    """Return why a model cannot be evaluated on the first image of a val_dataset, None if it can."""
    sample = SeededSamples(builder.val_dataset, seed=0, keep=("trans_info",))[0, 0]
    image, size, count = sample["img"], sample["label"].shape, number_of_classes(builder)
    try:
        logits = logits_of(model, image, size, builder.eval_config, sample["trans_info"])
    except UserError as error:
        return one_line(error)
    return None if logits.shape[1] == count else f"it has {logits.shape[1]} classes, and the data set {count}"
