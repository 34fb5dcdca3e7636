"""`python tools/compare.py PLAN --data DIR --out DIR`: what distillation is worth on a data set."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import CompareOptions


def main():
    parser = CommandParser(
        description="Compare methods of distillation with the plain student, over seeds and images."
    )
    parser.add_argument("plan", metavar="PLAN", help="YAML file: teacher, student, seeds, methods")
    args, options = flags.parsed(parser, CompareOptions)
    from paddleseg.comparing import compare

    print(compare(args.plan, options))
