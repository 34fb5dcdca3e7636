"""`python tools/data/from_labelme.py`, `from_coco.py`: annotations to a data set."""

import argparse

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConversionOptions

DESCRIPTION = """\
{} Print what tools/check_dataset.py says of the result, and the sections to paste into a config.

Exit status: 0 if the data set was written, 2 if something is wrong; then nothing was written.
"""


def from_labelme():
    parser = _parser("Turn labelme's JSON files into a data set.")
    parser.add_argument(
        "--annotation_path", nargs="+", required=True, help="JSON files, or folders with their subfolders"
    )
    _run(parser, "convert_labelme")


def from_coco():
    parser = _parser("Turn a JSON file of COCO into a data set.")
    parser.add_argument("--annotation_path", required=True, help="JSON file")
    _run(parser, "convert_coco")


def _parser(does):
    return CommandParser(
        description=DESCRIPTION.format(does), formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _run(parser, name):
    """Parse the flags of a conversion and run it.

    Args:
        parser: with the flags that this conversion alone has.
        name: of the function in `paddleseg.annotations`.
    """
    parser.add_argument("--save_dir", required=True, help="folder of the new data set, absent or empty")
    flags.add_options(parser, ConversionOptions)
    args = parser.parse_args()
    options = flags.options_from(args, ConversionOptions)
    process.prepare()
    from paddleseg import annotations

    print("\n".join(getattr(annotations, name)(args.annotation_path, args.save_dir, options)), flush=True)
    print("\n".join(annotations.summary(args.save_dir)))
