"""Train a segmentation model: the same as train.py, where PaddleSeg has it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import process, train  # noqa: E402

if __name__ == "__main__":
    process.run(train.main)
