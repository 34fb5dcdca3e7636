"""Open and check every file of a data set: python tools/check_dataset.py --config CONFIG.yml"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import check_dataset, process  # noqa: E402

if __name__ == "__main__":
    process.run(check_dataset.main)
