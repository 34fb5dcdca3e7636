"""Prune a trained student: the same as slim/prune/prune.py, where PaddleSeg has it."""

import functools
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))

from paddleseg.commands import process, prune  # noqa: E402
from paddleseg.utils import shipped  # noqa: E402

if __name__ == "__main__":
    process.run(functools.partial(prune.main, shipped.distill_config()))
