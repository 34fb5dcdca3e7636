"""The settings of the tools that look at trainings, models and data sets."""

import dataclasses
from typing import Optional, Sequence

from paddleseg.options.base import DeviceOptions, Options, option

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
