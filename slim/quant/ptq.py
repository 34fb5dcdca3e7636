"""Quantise a trained model: python slim/quant/ptq.py --config CONFIG.yml --model_path W.pdparams"""

import os
import sys

# Run as a file, this sees its own folder alone; the package stands two above.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from paddleseg.commands import process, ptq  # noqa: E402

if __name__ == "__main__":
    process.run(ptq.main)
