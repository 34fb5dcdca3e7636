"""The seconds of one step in several ways, which take turns:

python benchmarks/step.py [--torch_python PYTHON] [--paddleseg_python PYTHON] [--sweep] [--json FILE]

Teacher and student are the quick start's (DeepLabV3P, ResNet50_vd and ResNet18_vd, output stride 8). Each way
is a process of its own: a plain loop that is equivalent to PaddleSeg's distillation, in Paddle's default
environment and in a tuned one; the released PaddleSeg; the toolkit's own commands with various flags; and an
equal model in PyTorch. The ratios to PyTorch are those to the faster of its two memory formats.
"""

import contextlib
import functools
import os
import statistics
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
    parser.add_argument(
        "--sweep", action="store_true", help="also twice the batch, larger images, and one thread"
    )
    timing.add_timing_flags(parser)
    args = parser.parse_args()
    figures, peaks = {}, {}
    for case in swept(args) if args.sweep else swept(args)[:1]:
        name = variants.case_name(*case)
        figures[name], peaks[name] = measure(case, args)
        print(f"{name}\n\n{table(figures[name], peaks[name])}\n", flush=True)
    if len(figures) > 1:
        print(f"seconds, and of the first case\n\n{growth(figures)}\n")
    name, seconds = next(iter(figures.items()))
    about = {**timing.machine(args.clock), "case": name}
    timing.write_json(args.json, about, seconds, all_cases=figures, all_peaks=peaks)


def swept(args):
    """Return the (size, batch, threads) of --sweep: those of the flags first, and one thread last."""
    size, batch = args.size, args.batch
    work = [(size, batch), (size, 2 * batch), (2 * size, batch), (4 * size, max(1, batch // 2))]
    return [(*one, threads) for threads in sorted({args.threads, 1}, reverse=True) for one in work]


def measure(case, args):
    """Measure a case (size, batch, threads).

    Returns:
        ({variant's key: [seconds of each turn]}, {variant's key: peak of resident memory in bytes})
    """
    peaks = {}

    def turn(key, worker):
        answer = worker.turn()
        peaks[key] = answer["peak"]
        return answer["seconds"]

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        case = variants.Case(folder, *case, args.clock, args.torch_python, args.paddleseg_python)
        variants.set_up(case)
        turns = {}
        for key, variant in variants.chosen(args, variants.environment_flags(args)).items():
            worker = end.enter_context(contextlib.closing(variants.start(variant, case)))
            # The preparations need more memory than the steps, so they run one after the other.
            worker.turn()
            turns[key] = functools.partial(turn, key, worker)
        return timing.interleaved(turns, args.repeats, args.warmup), peaks


def table(seconds, peaks):
    """Return a Markdown table: seconds and their ratios to other ways of the same work, and memory."""
    bases = variants.bases(seconds)
    head = ["one step", "seconds, median (quartiles)", *(f"of {name}" for name in bases), "peak, MiB"]
    rows = []
    for key, values in seconds.items():
        base_keys = [base.get(variants.work_of(key)) for base in bases.values()]
        ratios = [f"{timing.ratio(seconds, key, base):.3f}" if base else "" for base in base_keys]
        memory = f"{peaks[key] / 2**20:.0f}" if peaks[key] else ""
        rows.append([variants.variant_name(key), timing.figure(values), *ratios, memory])
    return timing.markdown(head, rows)


def growth(figures):
    """Return a Markdown table of {case: {key: seconds}}: each way's median, and of its own first case."""
    first, *others = figures
    head = ["one step", first, *others]
    rows = []
    for key in figures[first]:
        medians = [statistics.median(seconds[key]) for seconds in figures.values()]
        grown = [f"{median:.3f} ({median / medians[0]:.2f})" for median in medians[1:]]
        rows.append([variants.variant_name(key), f"{medians[0]:.3f}", *grown])
    return timing.markdown(head, rows)


if __name__ == "__main__":
    process.run(main)
