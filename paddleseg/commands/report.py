"""`python tools/report.py RUN [RUN ...] -o report.html`: compare runs on one page."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ReportOptions


def main():
    parser = CommandParser(description="Write one page that compares trainings.")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="the --save_dir of a training, or of an export or a quantisation in ONNX",
    )
    args, options = flags.parsed(parser, ReportOptions)
    from paddleseg.report import write_report

    write_report(args.runs, options)
