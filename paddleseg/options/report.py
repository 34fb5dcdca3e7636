"""The settings of the tools that look at trainings, models and data sets."""

import dataclasses
import re
import typing
from typing import Optional, Sequence

from paddleseg.errors import UserError
from paddleseg.options.base import TEACHER_ENGINES, DeviceOptions, Options, option

REPEATS = "timed passes of a model; 0 measures no time"


@dataclasses.dataclass(frozen=True)
class ReportOptions(DeviceOptions):
    """What the page about trainings shows."""

    output: str = option("report.html", "the page", names=("-o", "--output"))
    images: int = option(
        6, "validation images to show where distillation helped most and hurt most", at_least=0
    )
    compared: int = option(
        200, "validation images, evenly spread, on which the students are compared for that", at_least=1
    )
    repeats: int = option(10, REPEATS, at_least=0)


def duration(text):
    """Return the seconds of a text such as "2h", "30m", "45s" or "1h30m".

    Raises:
        UserError: the text is no duration.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    if not text or not found:
        raise UserError(f"budget must be a time such as 2h, 30m or 1h30m, not {text!r}")
    hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return 3600.0 * hours + 60 * minutes + seconds


@dataclasses.dataclass(frozen=True)
class CompareOptions(DeviceOptions):
    """How methods of distillation are compared."""

    data: Optional[str] = option(
        None, "folder of the data set", default_text="the dataset_root of the configs"
    )
    out: str = option("output/compare", "folder of the trainings, the table and the report")
    match: typing.Literal["iterations", "time", "both"] = option(
        "iterations", "what is equal for all students: iterations, time, or each in turn"
    )
    budget: Optional[float] = option(
        None,
        "limit of the time of this call, such as 2h; all methods train for a short time, and the "
        "best one for longer",
        at_least=1,
        parse=duration,
        metavar="TIME",
    )
    only: Optional[Sequence[str]] = option(
        None, "methods to compare", metavar="METHOD", default_text="all of the plan"
    )
    seeds: Optional[Sequence[int]] = option(
        None, "seeds of the students", at_least=0, default_text="those of the plan"
    )
    teacher_weights: Optional[str] = option(
        None, "file of the teacher's weights, so that no teacher is trained"
    )
    iters: Optional[int] = option(
        None, "iterations of the plain student", at_least=1, default_text="those of the config"
    )
    turns: int = option(
        3, "how many short trainings of each method measure the seconds of an iteration", at_least=1
    )
    jobs: int = option(1, "how many trainings run at the same time", at_least=1)
    teacher_engine: str = option(
        "auto", "what computes the teacher in all trainings, as in distill_train.py", metavar=TEACHER_ENGINES
    )


@dataclasses.dataclass(frozen=True)
class CostOptions(DeviceOptions):
    """How the cost of models is measured."""

    input_shape: Optional[Sequence[int]] = option(
        None,
        "shape of the input",
        at_least=1,
        nargs=4,
        metavar=("N", "C", "H", "W"),
        default_text="1 C 512 512 with the C of the config's images",
    )
    repeats: int = option(10, REPEATS, at_least=0)


@dataclasses.dataclass(frozen=True)
class CheckOptions(Options):
    """How the files of data sets are checked."""

    num_threads: int = option(4, "files read at once", at_least=1)
