"""The figures of a pruning: as a table, and as `pruning.json`."""

import dataclasses
import os
from typing import Optional, Sequence

from paddleseg.utils.json_record import read_record, write_record
from paddleseg.utils.text_table import aligned

RESULT_FILE = "pruning.json"


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of a model.

    Attributes:
        parameters: their number, without running statistics.
        flops: operations for one input; a multiplication and an addition are two.
        miou: 0 to 1, on the validation images; None if it was not measured.
    """

    parameters: int
    flops: int
    miou: Optional[float]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a pruning did; `pruning.json` holds these keys.

    Attributes:
        config: the path of the config.
        weights: the path of the weights before the pruning.
        criterion, pruning_ratio, sensitivity, align: the options.
        input_shape: [N, C, H, W] of the input whose operations were counted.
        before, pruned, retrained: the `Figures`; `retrained` is None until the retraining has ended.
    """

    config: str
    weights: Optional[str]
    criterion: str
    pruning_ratio: float
    sensitivity: bool
    align: int
    input_shape: Sequence[int]
    before: Figures
    pruned: Figures
    retrained: Optional[Figures] = None

    def table(self):
        """Return the figures side by side, as lines of text."""
        stages = {"before": self.before, "pruned": self.pruned, "retrained": self.retrained}
        rows = [("", "parameters", "GFLOPs", "mIoU")]
        for name, figures in stages.items():
            if figures is not None:
                miou = "" if figures.miou is None else f"{figures.miou:.4f}"
                rows.append((name, f"{figures.parameters:,}", f"{figures.flops / 1e9:.3f}", miou))
        return aligned(rows)

    def write(self, folder):
        """Write `pruning.json` to a folder.

        Raises:
            UserError: the file cannot be written.
        """
        write_record(os.path.join(folder, RESULT_FILE), self)


def read_result(folder):
    """Return the `Result` in a folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    return read_record(os.path.join(folder, RESULT_FILE), _result, "the result file of a pruning")


def _result(values):
    measured = [key for key in ("before", "pruned", "retrained") if values[key] is not None]
    return Result(**{**values, **{key: Figures(**values[key]) for key in measured}})
