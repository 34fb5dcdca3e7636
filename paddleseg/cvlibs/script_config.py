"""What stands in the place of a `Config` where a script has made the objects of a training."""

import dataclasses
import os
import sys
from typing import Any, Dict, Optional

from paddleseg.cvlibs.facts import BatchContents
from paddleseg.errors import UserError


@dataclasses.dataclass(frozen=True)
class ScriptConfig(BatchContents):
    """What the loop asks a `Config` for, of a training without one.

    Attributes:
        dic: plain values that describe the training; a resume compares them, and `run.yml` records them.
        iters, batch_size: whole numbers above 0.
        num_classes, unlabeled_per_batch: as in `Config`.
        path: what messages name in the place of a file: the script, if there is one.
    """

    dic: Dict[str, Any]
    iters: int
    batch_size: int
    num_classes: Optional[int]
    unlabeled_per_batch: int
    path: str = dataclasses.field(default_factory=lambda: os.path.basename(sys.argv[0]) or "Python")

    def __post_init__(self):
        for name in ("iters", "batch_size"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise UserError(f"{name} must be a whole number above 0, not {value!r}")

    def __getitem__(self, section):
        return self.dic[section]

    def place(self, *path):
        """Return the name of an argument, for messages."""
        return ".".join(map(str, path))
