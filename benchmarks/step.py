"""One distillation step by several ways, timed in turns:

python benchmarks/step.py [--torch_python PYTHON] [--sweep] [--json FILE]

Teacher and student are the quick start's (DeepLabV3P, ResNet50_vd and ResNet18_vd, output stride 8). Each way is a
process of its own: the plain loop that PaddleSeg's distillation amounts to, in Paddle's default environment and in
a tuned one; the toolkit's own command with various flags; and an equal model in eager PyTorch.
"""

import argparse
import contextlib
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402
from step_variants import CHANNELS_LAST, PLAIN, VARIANTS, Case, find_torch, set_up, start  # noqa: E402

from paddleseg import cli, runtime  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_case_flags(parser)
    parser.add_argument(
        "--sweep", action="store_true", help="also with twice the batch, twice the size, and fewer cores"
    )
    timing.add_timing_flags(parser)
    args = parser.parse_args()
    cases = {case_name(*case): case for case in (swept(args) if args.sweep else [first_case(args)])}
    figures = {name: measure(case, args) for name, case in cases.items()}
    for name, seconds in figures.items():
        print(f"\n{name}\n\n{table(seconds)}", flush=True)
    name, seconds = next(iter(figures.items()))
    timing.write_json(args.json, {**timing.machine(args.clock), "case": name}, seconds, all_cases=figures)


def add_case_flags(parser):
    """Add the flags that say what is computed by whom."""
    parser.add_argument("--size", type=int, default=128, help="pixels a side, at least 64 (default: 128)")
    parser.add_argument("--batch", type=int, default=4, help="images a step (default: 4)")
    parser.add_argument(
        "--threads", type=cli.positive, default=runtime.usable_cores(), help="default: the usable cores"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), help="ways to compare; default: all")
    parser.add_argument(
        "--torch_python",
        metavar="PYTHON",
        help="an interpreter that has PyTorch; default: this one if it has, else none",
    )


def first_case(args):
    """Return (size, batch, threads) as the flags say."""
    return args.size, args.batch, args.threads


def swept(args):
    """Return what --sweep compares: the flags' case, and how it grows with each of its numbers."""
    size, batch, threads = first_case(args)
    cases = [(size, batch, threads), (size, 2 * batch, threads), (2 * size, batch, threads)]
    return [*cases, *((size, batch, fewer) for fewer in range(1, threads))]


def case_name(size, batch, threads):
    return f"{size} x {size}, batch {batch}, {threads} thread(s)"


def measure(case, args):
    """Return {variant's key: [seconds of each turn]} of a case (size, batch, threads)."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        case = Case(folder, *case, args.clock, find_torch(args.torch_python))
        workers = start_all(case, args.only, end)
        turns = {key: lambda worker=worker: worker.turn()["seconds"] for key, worker in workers.items()}
        return timing.interleaved(turns, args.repeats, args.warmup)


def start_all(case, only, end):
    """Return {variant's key: `Worker`}, prepared one after the other; `end`, an `ExitStack`, closes them."""
    set_up(case)
    wanted = [key for key in VARIANTS if key in (only or VARIANTS)]
    workers = {}
    for key in wanted:
        variant = VARIANTS[key]
        if variant.role == "torch" and case.torch_python is None:
            continue
        worker = workers[key] = start(variant, case)
        end.callback(worker.close)
        # Together, their preparations would need more memory than their steps, and delay one another.
        worker.turn()
    return workers


def table(seconds):
    """Return a Markdown table: seconds, and how many times faster than the plain loop and than PyTorch."""
    bases = [
        (key, name)
        for key, name in (("plain_default", PLAIN), ("torch_last", CHANNELS_LAST))
        if key in seconds
    ]
    head = ["one step", "seconds, median (quartiles)", *(f"of {name}" for _, name in bases)]
    rows = [
        [
            VARIANTS[key].name,
            timing.figure(values),
            *(f"{timing.ratio(seconds, key, base):.3f}" for base, _ in bases),
        ]
        for key, values in seconds.items()
    ]
    return timing.markdown(head, rows)


if __name__ == "__main__":
    cli.run(main)
