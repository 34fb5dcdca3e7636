"""The seconds of one distillation step in several ways, which take turns:

python benchmarks/step.py [--torch_python PYTHON] [--sweep] [--json FILE]

Teacher and student are the quick start's (DeepLabV3P, ResNet50_vd and ResNet18_vd, output stride 8). Each way
is a process of its own: a plain loop that is equivalent to PaddleSeg's distillation, in Paddle's default
environment and in a tuned one; the toolkit's own command with various flags; and an equal model in PyTorch.
"""

import contextlib
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import step_variants as variants  # noqa: E402
import timing  # noqa: E402

from paddleseg.commands import process  # noqa: E402


def main():
    parser = timing.described_parser(__doc__)
    variants.add_case_flags(parser)
    parser.add_argument("--sweep", action="store_true", help="also twice the batch and size, fewer threads")
    timing.add_timing_flags(parser)
    args = parser.parse_args()
    figures = {}
    for case in swept(args) if args.sweep else swept(args)[:1]:
        name = variants.case_name(*case)
        figures[name] = measure(case, args)
        print(f"{name}\n\n{table(figures[name])}\n", flush=True)
    name, seconds = next(iter(figures.items()))
    timing.write_json(args.json, {**timing.machine(args.clock), "case": name}, seconds, all_cases=figures)


def swept(args):
    """Return the (size, batch, threads) of --sweep: those of the flags, and with one number changed."""
    size, batch, threads = args.size, args.batch, args.threads
    cases = [(size, batch, threads), (size, 2 * batch, threads), (2 * size, batch, threads)]
    return [*cases, *((size, batch, fewer) for fewer in range(1, threads))]


def measure(case, args):
    """Return {variant's key: [seconds of each turn]} of a case (size, batch, threads)."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        case = variants.Case(folder, *case, args.clock, args.torch_python)
        variants.set_up(case)
        turns = {}
        for key, variant in variants.chosen(args, variants.environment_flags(args)).items():
            worker = end.enter_context(contextlib.closing(variants.start(variant, case)))
            # The preparations need more memory than the steps, so they run one after the other.
            worker.turn()
            turns[key] = lambda worker=worker: worker.turn()["seconds"]
        return timing.interleaved(turns, args.repeats, args.warmup)


def table(seconds):
    """Return a Markdown table: seconds, and their ratios to those of the plain loop and of PyTorch."""
    bases = [key for key in variants.BASES if key in seconds]
    head = ["one step", "seconds, median (quartiles)", *(f"of {variants.variant_name(key)}" for key in bases)]
    rows = [
        [variants.variant_name(key), timing.figure(values)]
        + [f"{timing.ratio(seconds, key, base):.3f}" for base in bases]
        for key, values in seconds.items()
    ]
    return timing.markdown(head, rows)


if __name__ == "__main__":
    process.run(main)
