"""Train a student under a teacher:

python slim/distill/distill_train.py --teacher_config TEACHER.yml --student_config STUDENT.yml
"""

import functools
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Run as a file, this sees its own folder alone; the package stands two above.
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from paddleseg.commands import distill, process  # noqa: E402

if __name__ == "__main__":
    process.run(functools.partial(distill.main, os.path.join(HERE, "distill_config.py")))
