"""Runs side by side on one page: python tools/report.py RUN [RUN ...] -o report.html"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from paddleseg import cli, flags  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Write one self-contained page about trainings.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the --save_dir of a training")
    parser.add_argument("-o", "--output", default="report.html", help="the page (default: %(default)s)")
    parser.add_argument(
        "--images",
        type=flags.count,
        default=6,
        help="validation images to show where distillation helped and hurt most (default: %(default)s)",
    )
    parser.add_argument(
        "--compared",
        type=flags.positive,
        default=200,
        help="validation images, evenly spread, to run the students on for that (default: %(default)s)",
    )
    parser.add_argument(
        "--repeats", type=flags.count, default=10, help="timed passes of a model; 0 times none (default: 10)"
    )
    flags.add_device_flag(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.report.page import write_report

    write_report(args)


if __name__ == "__main__":
    cli.run(main)
