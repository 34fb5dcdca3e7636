"""Compare what the configs of a teacher and of the student state about their images and classes.

Only the model of a teacher's config is used. If the config has data sections as well, they state what the
teacher was trained with.
"""

import numpy as np
import paddle

from paddleseg.cvlibs import facts
from paddleseg.cvlibs.class_names import section_names
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

STATING = ("train_dataset", "val_dataset", "export")  # a teacher's sections that list transforms
_CLOSE = 1e-4  # of mean and std; they may be written with three or with more digits


class Renormalization:
    """Brings images that are normalised as the student's to the normalisation of a teacher's training.

    Args:
        student, teacher: (mean, std) of each, as `Normalize` takes them.

    Raises:
        ValueError: the two are of different numbers of channels.
    """

    def __init__(self, student, teacher):
        (mean, std), (own_mean, own_std) = (map(np.float64, pair) for pair in (student, teacher))
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std
        np.broadcast_shapes(self._scale.shape, self._shift.shape)
        self._teacher = teacher

    def identity(self):
        """Return the teacher's mean and std as plain values."""
        return {"normalised by": [list(map(float, values)) for values in self._teacher]}

    def __call__(self, images):
        """Return float32 N x C x H x W as the teacher's training would have normalised it."""
        scale, shift = (
            paddle.to_tensor(values.reshape(1, -1, 1, 1), images.dtype)
            for values in (self._scale, self._shift)
        )
        return images * scale + shift


def renormalization(cfg, teacher_cfg, role):
    """Return the `Renormalization` of a teacher's images, None where there is nothing to convert.

    Args:
        cfg, teacher_cfg: the `Config`s of student and teacher.
        role: the teacher in words, such as "teacher 0", for the warning where the two differ.
    """
    stated = next(iter(teacher_cfg.normalizations(STATING)), None)
    ours = cfg.normalizations(cfg.training_sections)
    different = [] if stated is None else [fact for fact in ours if not _agree(fact.value, stated.value)]
    if not different:
        return None
    theirs = f"{_in_words(stated.value)} ({stated.place})"
    students = f"{_in_words(different[0].value)} ({different[0].place})"
    message = f"{role} was trained with images normalised by {theirs}, and the student's are by {students}"
    all_equal = all(fact.value == ours[0].value for fact in ours)
    converted = conversion(ours[0].value, stated.value) if all_equal else None
    if converted is None:
        logger.warning(f"{message}; this cannot be converted, so {role} sees images of another range")
    else:
        logger.warning(f"{message}; each image is converted for {role}")
    return converted


def conversion(student, teacher):
    """Return the `Renormalization` from one (mean, std) to another; None if they agree or do not fit."""
    try:
        return None if _agree(student, teacher) else Renormalization(student, teacher)
    except ValueError:
        return None


def check_classes(cfg, teacher_cfg, role):
    """Compare the names of the classes, and the ignored label, of a teacher with the student's.

    Args:
        cfg, teacher_cfg, role: as in `renormalization`.

    Raises:
        UserError: both name the same classes in another order.
    """
    ours, theirs = _class_names(cfg), _class_names(teacher_cfg)
    if ours is not None and theirs is not None and len(ours.value) == len(theirs.value):
        _compare_names(ours, theirs, role)
    ours, theirs = (one.stated("ignore_index") for one in (cfg, teacher_cfg))
    classes = cfg.num_classes
    if classes is not None and theirs.value != ours.value and 0 <= theirs.value < classes:
        logger.warning(
            f"{role} was trained with ignore_index {theirs.value} ({theirs.place}), so it has not learned "
            f"this class, which the student learns from it ({ours.place}: {ours.value})"
        )


def check_range(cfg, teacher_cfg, role):
    """Warn if a teacher was trained with another `img_range` than the student's images have.

    Args:
        cfg, teacher_cfg, role: as in `renormalization`.
    """
    states_data = any(teacher_cfg.get(section) for section in facts.DATA_SECTIONS)
    if states_data and teacher_cfg.img_range != cfg.img_range:
        words = ["none" if one.img_range is None else list(one.img_range) for one in (teacher_cfg, cfg)]
        logger.warning(
            f"{role} was trained with images of img_range {words[0]} ({teacher_cfg.path}), and the student's "
            f"have {words[1]} ({cfg.path}), so equal values of the files are other ones for {role}"
        )


def _compare_names(ours, theirs, role):
    pairs = enumerate(zip(ours.value, theirs.value))
    different = [(k, *names) for k, names in pairs if names[0].casefold() != names[1].casefold()]
    if not different:
        return
    k, our_name, their_name = different[0]
    message = (
        f"class {k} is {their_name!r} for {role} ({theirs.place}) and {our_name!r} for the student "
        f"({ours.place})"
    )
    sets = [{name.casefold() for name in fact.value} for fact in (ours, theirs)]
    if sets[0] == sets[1]:
        raise UserError(
            f"{message}: the same classes in another order, so one's logits would teach another class"
        )
    logger.warning(f"{message}; distill_loss takes them for the same class")


def _class_names(cfg):
    """Return the `Fact` of a config's class names, None where it has none."""
    for section in facts.DATA_SECTIONS:
        spec = cfg.get(section)
        names = section_names(spec)
        if names:
            return facts.Fact(names, cfg.place(section, "class_names" if "class_names" in spec else "type"))
    return None


def _agree(one, other):
    try:
        return all(np.allclose(*pair, rtol=0, atol=_CLOSE) for pair in zip(one, other))
    except ValueError:  # of different numbers of channels
        return False


def _in_words(normalization):
    """Return (mean, std) for a message."""
    words = (
        f"{name} [{', '.join(f'{value:.4g}' for value in values)}]"
        for name, values in zip(("mean", "std"), normalization)
    )
    return " and ".join(words)
