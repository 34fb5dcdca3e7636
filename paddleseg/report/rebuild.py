"""Models and data sets, rebuilt from the config that a run's run.yml holds."""

import os
import re
import sys
import tempfile

import yaml

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.facts import normalization
from paddleseg.distill.teachers.teacher_only import gives_logits, is_teacher_only
from paddleseg.distill.teachers.training_data import STATING, conversion
from paddleseg.errors import UserError
from paddleseg.report.runs import without_pretrained
from paddleseg.utils.logger import logger
from paddleseg.weights.load import load_weights


def builder_of(config, sections, where, config_path=None, as_teacher=False):
    """Return the `SegBuilder` of some sections of a merged config, whose model has random weights.

    Args:
        config: the dict.
        sections: names of the sections; all are required.
        where: what messages call the config.
        config_path: the path of the run's config file, whose folder may hold modules of `imports`. Default
            None.
        as_teacher: whether the model may be teacher-only (see `TeacherOnly`). Default False.

    Raises:
        UserError: a component or a module does not exist, or a section is missing.
    """
    if config_path is not None and os.path.dirname(config_path) not in sys.path:
        sys.path.append(os.path.dirname(config_path))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.yml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(without_pretrained(config), file, sort_keys=False)
        try:
            cfg = Config(path, sections=sections, required=sections, as_teacher=as_teacher)
        except UserError as error:
            # The user has no such file, so the message names `where` instead of the file and its lines.
            raise UserError(re.sub(re.escape(path) + r"(:\d+)?", lambda _: where, str(error))) from None
    cfg.name_source(where)
    return SegBuilder(cfg)


def model_of(config, weights, where, config_path=None):
    """Return the model of a merged config in eval mode, with the weights of a file.

    Args:
        weights: what `load_weights` takes; None for a teacher-only model, which loads its own.
        config, where, config_path: as in `builder_of`.
    """
    model = builder_of(config, ("model",), where, config_path, as_teacher=weights is None).model
    if weights is not None:
        load_weights(model, weights)
    model.eval()
    return model


def teacher_of(config, weights, student, where, config_path=None):
    """Return the model of a teacher's merged config in eval mode, for the images that evaluate a student.

    The model converts images to the normalisation that it was trained with.

    Args:
        config, weights, where, config_path: as in `model_of`.
        student: the student's merged config, a dict.

    Raises:
        UserError: as `model_of`; or the teacher gives logits and must undo the normalisation of
            `val_dataset`, which the student's config does not state.
    """
    model = model_of(config, weights, where, config_path)
    given = normalization(student, "val_dataset")
    if is_teacher_only(model):
        if given is not None:
            model.set_input_normalization(*given.value)
        elif gives_logits(model):
            raise UserError(
                f"{where}: the teacher must know how images are normalised, and val_dataset does not state it"
            )
        return model
    stated = next(filter(None, (normalization(config, section) for section in STATING)), None)
    if stated and not given:
        logger.warning(
            f"{where}: the teacher was trained with normalised images, and val_dataset does not state how "
            f"its images are normalised, so the teacher may see images of another range"
        )
    converted = conversion(given.value, stated.value) if stated and given else None
    if converted is not None:
        model.register_forward_pre_hook(lambda _, inputs: (converted(inputs[0]),))
    return model
