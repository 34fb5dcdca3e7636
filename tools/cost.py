"""Print what models cost, by part: python tools/cost.py --config CONFIG.yml [CONFIG.yml ...]"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import cost, process  # noqa: E402

if __name__ == "__main__":
    process.run(cost.main)
