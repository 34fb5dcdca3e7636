"""Quantise a trained model: the same as slim/quant/ptq.py, where PaddleSeg has it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))

from paddleseg.commands import process, ptq  # noqa: E402

if __name__ == "__main__":
    process.run(ptq.main)
