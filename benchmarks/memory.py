"""The peak of memory of each way to distil, one process after the other:

python benchmarks/memory.py [--steps 6] [--torch_python PYTHON] [--json FILE]

The ways are those of step.py. The table has the peak of resident memory (VmHWM) after the imports, when
models and data are ready, and after the last step; over the first few steps it may still grow.
"""

import contextlib
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import step_variants as variants  # noqa: E402
import timing  # noqa: E402

from paddleseg.commands import flags, process  # noqa: E402

STAGES = ("imported", "prepared", "trained")


def main():
    parser = timing.described_parser(__doc__)
    variants.add_case_flags(parser)
    parser.add_argument("--steps", type=flags.positive, default=6, help="of each way (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        case = variants.Case(
            folder,
            args.size,
            args.batch,
            args.threads,
            torch_python=args.torch_python,
            paddleseg_python=args.paddleseg_python,
        )
        variants.set_up(case)
        peaks = {
            key: peak(variant, case, args.steps)
            for key, variant in variants.chosen(args, variants.environment_flags(args)).items()
        }
    name = variants.case_name(args.size, args.batch, args.threads)
    print(f"{name}, {args.steps} steps\n\n{table(peaks)}")
    timing.write_json(args.json, {**timing.machine(), "case": name}, {}, bytes=peaks)


def peak(variant, case, steps):
    """Return {stage: peak of resident bytes} of a process that makes some steps."""
    with contextlib.closing(variants.start(variant, case)) as worker:
        last = [worker.turn() for _ in range(steps)][-1]
        return {**worker.preparations["memory"], "trained": last["peak"]}


def table(peaks):
    """Return a Markdown table of {variant's key: {stage: bytes}}."""
    base = peaks.get("plain_default")
    head = ["peak of memory, MiB", *STAGES, *([f"of {variants.PLAIN}"] if base else [])]
    rows = []
    for key, stages in peaks.items():
        share = [f"{stages['trained'] / base['trained']:.2f}"] if base else []
        rows.append(
            [variants.variant_name(key), *(f"{stages[stage] / 2**20:.0f}" for stage in STAGES), *share]
        )
    return timing.markdown(head, rows)


if __name__ == "__main__":
    process.run(main)
