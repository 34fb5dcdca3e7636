"""What a config and a `distill_config.py` declare together, checked against the number of teachers."""

from dataclasses import dataclass
from typing import Optional

from paddleseg.distill.distill_file import load_distill_file
from paddleseg.distill.feature_loss import check_batch_size
from paddleseg.distill.features import features_of_config
from paddleseg.errors import UserError, counted


@dataclass(frozen=True)
class Plan:
    """Which tensors are distilled.

    Attributes:
        student_adaptor, teacher_adaptor: classes derived from `AdaptorBase`, or None; the second one is the
            adaptor of the first teacher.
        features: list of `Feature`, those of the distill_config.py before those of the config.
    """

    student_adaptor: Optional[type]
    teacher_adaptor: Optional[type]
    features: list


def make_plan(cfg, distill_file, num_teachers):
    """Return the `Plan` of a student's checked config and a distill_config.py.

    Args:
        cfg: the student's `Config`.
        distill_file: the path of the distill_config.py; None for none.
        num_teachers: the number of teachers.

    Raises:
        UserError: the file is malformed, a feature names a teacher that does not exist, a teacher is used by
            no loss, or a batch is too small for a loss.
    """
    declared = (None, None, []) if distill_file is None else load_distill_file(distill_file)
    student_adaptor, teacher_adaptor, features_of_file = declared
    features = [*features_of_file, *features_of_config(cfg)]
    check_teacher_indices(features, num_teachers)
    place = cfg.place("distill", "teacher_weighting")
    check_weighting(cfg.teacher_weighting, num_teachers, cfg.compares_logits, place)
    _check_use(cfg, features, num_teachers)
    check_batch_size(features, cfg.batch_size)
    return Plan(student_adaptor, teacher_adaptor, features)


def check_teacher_indices(features, num_teachers):
    """Raise `UserError` for a feature of a teacher that does not exist."""
    for feature in features:
        if feature.teacher_index >= num_teachers:
            raise UserError(
                f"{feature.place('teacher_index')}: {feature.teacher_index}, but the last of "
                f"{counted(num_teachers, 'teacher')} is {num_teachers - 1}"
            )


def check_use_of_logits(cfg, features, teachers):
    """Raise `UserError` if no teacher gives the logits to compare, or one without logits has no feature.

    Args:
        cfg: the student's `Config`.
        features: list of `Feature`.
        teachers: list of `Teacher`.
    """
    without = [k for k, teacher in enumerate(teachers) if not teacher.gives_logits]
    if not (without and cfg.compares_logits):
        return
    idle = [k for k in without if k not in {feature.teacher_index for feature in features}]
    named = f"teacher {(idle or without)[0]} ({teachers[(idle or without)[0]].cfg.place('model', 'outputs')})"
    if len(without) == len(teachers):
        raise UserError(
            f"{cfg.place('distill_loss')}: it compares logits, and {named} gives features alone; remove "
            f"distill_loss, or name the logits in the teacher's `outputs`"
        )
    if idle:
        raise UserError(
            f"{named} has no use: it gives features alone, and no entry of "
            f"{cfg.place('distill', 'features')} has that teacher_index"
        )
    if cfg.teacher_weighting == "confidence" and len(teachers) - len(without) == 1:
        raise UserError(
            f"{cfg.place('distill', 'teacher_weighting')}: confidence weighs the logits of several teachers, "
            f"and one teacher gives some"
        )


def check_weighting(weighting, num_teachers, compares_logits, place):
    """Raise `UserError` where a `teacher_weighting` of "confidence" has nothing to weigh."""
    if weighting != "confidence":
        return
    if num_teachers == 1:
        raise UserError(f"{place}: confidence weighs several teachers against each other, and there is one")
    if not compares_logits:
        raise UserError(f"{place}: confidence weighs logits, and without distill_loss no logits are compared")


def _check_use(cfg, features, num_teachers):
    """Raise `UserError` where there is no loss at all, or a teacher that no loss uses."""
    if not cfg.compares_logits and not features and cfg.unlabeled_per_batch == cfg.batch_size:
        raise UserError(
            f"{cfg.place('distill', 'unlabeled_share')}: without labels, distill_loss and feature losses "
            f"there is nothing to train by"
        )
    check_teachers_used(num_teachers, cfg.compares_logits, features, cfg.place("distill", "features"))


def check_teachers_used(num_teachers, compares_logits, features, place):
    """Raise `UserError` for a teacher that no loss uses; `place` is where the features are written."""
    unused = sorted(set(range(num_teachers)) - {feature.teacher_index for feature in features})
    if features and not compares_logits and unused:
        raise UserError(
            f"teacher {unused[0]} has no use: no logits are compared, and no entry of {place} has that "
            f"teacher_index"
        )
