"""Open every file of a config's data sets and tell what is wrong: missing or damaged files, sizes that differ
between image and mask, mask values that are no class, images in both sets; and the share of each class, with
a note of those that no mask holds.

python tools/check_dataset.py --config CONFIG.yml

Exit status: 0 nothing is wrong (whatever is noted), 1 something is, 2 the check cannot run.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paddleseg import cli, flags  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="YAML file")
    parser.add_argument(
        "--num_threads", type=flags.positive, default=4, help="files read at once (default: 4)"
    )
    flags.add_config_flag(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core import check_data
    from paddleseg.cvlibs import Config

    cfg = Config(args.config, opts=args.opts, sections=check_data.SECTIONS)
    report = check_data.check_config(cfg, args.num_threads)
    for line in (*report.findings, *check_data.table(report)):
        print(line)
    for line in check_data.notes(report):
        print(f"note: {line}")
    count = len(report.findings)
    print(f"{count} finding{'' if count == 1 else 's'}")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    cli.run(main)
