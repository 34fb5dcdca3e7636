"""Masks of photographs: the same as predict.py, where PaddleSeg has it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import predict, process  # noqa: E402

if __name__ == "__main__":
    process.run(predict.main)
