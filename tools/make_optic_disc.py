"""Draw a synthetic stand-in for PaddleSeg's optic_disc_seg, if that cannot be downloaded.

python tools/make_optic_disc.py --out data/optic_disc_synthetic
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import make_optic_disc, process  # noqa: E402

if __name__ == "__main__":
    process.run(make_optic_disc.main)
