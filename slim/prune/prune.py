"""Prune a trained student, and train what remains under its teacher, on Paddle 2.6.2:

python slim/prune/prune.py --config STUDENT.yml --model_path W.pdparams --teacher_config TEACHER.yml
"""

import functools
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Run as a file, this sees its own folder alone.
sys.path.insert(0, ROOT)

from paddleseg.commands import process, prune  # noqa: E402

if __name__ == "__main__":
    process.run(functools.partial(prune.main, os.path.join(ROOT, "slim", "distill", "distill_config.py")))
