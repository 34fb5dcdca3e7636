"""The settings of a pruning."""

import dataclasses
from typing import Literal, Optional, Sequence

from paddleseg.errors import UserError
from paddleseg.options.base import option
from paddleseg.options.deployment import check_input_shape
from paddleseg.options.distillation import DistillOptions


@dataclasses.dataclass(frozen=True)
class PruneOptions(DistillOptions):
    """How to remove filters of a trained student, and to train what remains, under teachers or by labels."""

    model_path: Optional[str] = option(
        None, "the student's trained weights", default_text="the config's model.pretrained"
    )
    pruning_ratio: float = option(
        0.3,
        "the share of the floating-point operations to remove, above 0 and below 1",
        at_least=0,
        at_most=1,
    )
    criterion: Literal["l1_norm", "fpgm"] = option(
        "l1_norm",
        "which filters of a layer go first: those with the smallest weights, or those nearest to the others",
    )
    sensitivity: bool = option(
        False,
        "measure by the mIoU on the validation images how much each layer matters, and prune those that "
        "matter less more; otherwise all layers lose the same share",
    )
    align: int = option(8, "each layer keeps a multiple of N filters", at_least=1, metavar="N")
    input_shape: Optional[Sequence[int]] = option(
        None,
        "N C H W of the input whose operations are counted",
        metavar=("N", "C", "H", "W"),
        nargs=4,
        default_text="one image of the size of the first validation image",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.dry_run:
            raise UserError("dry_run: prune.py has none, since it prunes before it trains")
        if not 0 < self.pruning_ratio < 1:
            raise UserError(f"pruning_ratio must be above 0 and below 1, not {self.pruning_ratio}")
        check_input_shape(self.input_shape)
        if self.input_shape is not None and min(self.input_shape) < 1:
            shape = " ".join(map(str, self.input_shape))
            raise UserError(f"input_shape {shape}: it takes N C H W, each above 0")
