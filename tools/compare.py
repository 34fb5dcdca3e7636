"""Compare methods of distillation: python tools/compare.py PLAN --data DIR --out DIR"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import compare, process  # noqa: E402

if __name__ == "__main__":
    process.run(compare.main)
