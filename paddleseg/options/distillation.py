"""The settings of a distillation."""

import dataclasses
from typing import Literal, Optional

from paddleseg.errors import UserError
from paddleseg.options.base import TEACHER_ENGINES, option
from paddleseg.options.training import TrainOptions


@dataclasses.dataclass(frozen=True)
class DistillOptions(TrainOptions):
    """How to train a student under teachers. Configs say which, and what is compared."""

    distill_config: Optional[str] = option(
        None,
        "Python file with adaptors and feature losses",
        metavar="FILE.py",
        default_text="none",
    )
    allow_random_teacher: bool = option(False, "accept a teacher without weights")
    teacher_cache: Optional[str] = option(
        None,
        "keep the teachers' outputs of each image and view in DIR and read them later; needs cache_views",
        metavar="DIR",
    )
    cache_dtype: Literal["float16", "float32"] = option("float16", "of the numbers in teacher_cache")
    teacher_engine: str = option(
        "auto",
        "what computes the teachers: paddle, or onnxruntime, which runs an export on the CPU; auto takes the "
        "fastest one that agrees with paddle, and with resume_model the same as before",
        metavar=TEACHER_ENGINES,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.teacher_cache and not self.cache_views:
            raise UserError(
                "teacher_cache needs cache_views K: without it every epoch augments an image in a new way, "
                "and no cached output could be used again"
            )

    def refuse_teachers(self):
        """Raise `UserError` for an option that only a training under a teacher follows."""
        of_labels = {field.name for field in dataclasses.fields(TrainOptions)}
        for field in dataclasses.fields(DistillOptions):
            name = field.name
            if name not in of_labels and getattr(self, name) != field.default:
                raise UserError(f"{name} is given for 0 teachers; name a teacher, or leave {name} out")
