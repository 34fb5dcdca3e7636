"""Train a teacher, a student alone and the student distilled on synthetic photographs, and compare them.

python tools/demo.py --out output/demo
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import demo, process  # noqa: E402

if __name__ == "__main__":
    process.run(demo.main)
