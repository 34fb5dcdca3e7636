"""Divide a data set into train, val and test; --help lists the flags."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from paddleseg.commands import annotations, process  # noqa: E402

if __name__ == "__main__":
    process.run(annotations.split)
