"""Train a student for 8-bit integers under its teacher, and export it:

python slim/quant/qat.py --teacher_config TEACHER.yml --student_config STUDENT.yml --model_path W.pdparams
"""

import functools
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Run as a file, this sees its own folder alone.
sys.path.insert(0, ROOT)

from paddleseg.commands import process, qat  # noqa: E402

if __name__ == "__main__":
    process.run(functools.partial(qat.main, os.path.join(ROOT, "slim", "distill", "distill_config.py")))
