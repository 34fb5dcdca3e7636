"""Train a student under a teacher: the same as slim/distill/distill_train.py, where PaddleSeg has it.

The default of `--distill_config` is a distill_config.py beside this file, if you write one.
"""

import functools
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))

from paddleseg.commands import distill, process  # noqa: E402
from paddleseg.utils import shipped  # noqa: E402

if __name__ == "__main__":
    own = os.path.join(HERE, "distill_config.py")
    default = own if os.path.isfile(own) else shipped.distill_config()
    process.run(functools.partial(distill.main, default))
