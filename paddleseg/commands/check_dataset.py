"""`python tools/check_dataset.py --config CONFIG.yml`: open and check every file of a config's data sets."""

import argparse
import sys

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import CheckOptions, ConfigChanges

DESCRIPTION = """\
Open every file of a config's data sets and report what is wrong: missing or damaged files, images and masks
of different sizes, mask values that are no class, images in both sets. Also print the share of each class,
and note the classes that no mask holds.

Exit status: 0 if nothing is wrong (notes do not count), 1 if something is, 2 if the check cannot run.
"""


def main():
    parser = CommandParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="YAML file")
    args, options = flags.parsed(parser, CheckOptions, ConfigChanges)
    from paddleseg.cvlibs import Config
    from paddleseg.datasets import check_data

    cfg = Config(args.config, opts=args.opts, sections=check_data.SECTIONS)
    report = check_data.check_config(cfg, options.num_threads)
    print("\n".join(check_data.lines(report)))
    sys.exit(1 if report.findings else 0)
