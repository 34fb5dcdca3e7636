"""Compare runs on one page: python tools/report.py RUN [RUN ...] -o report.html"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg.commands import process, report  # noqa: E402

if __name__ == "__main__":
    process.run(report.main)
