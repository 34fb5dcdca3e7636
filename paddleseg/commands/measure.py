"""Measures one model in a process of its own: `python -m paddleseg.commands.measure`.

The task comes as JSON on standard input, and the result goes as JSON to standard output.
"""

import json
import sys

from paddleseg.commands import process, runtime


def main():
    task = json.load(sys.stdin)
    runtime.prepare()
    from paddleseg.report.costs import RESULT, measure_here

    print(RESULT + json.dumps(measure_here(task)))


if __name__ == "__main__":
    process.run(main)
