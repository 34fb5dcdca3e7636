"""What the benchmarks of speed share: flags, variants that take turns, medians and Markdown tables.

Imports only the standard library: PyTorch's process has no Paddle, and Paddle's settings precede its import.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from importlib import metadata

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
VERSIONS_OF = ("paddlepaddle", "paddlepaddle-gpu", "onnxruntime", "torch")


def described_parser(text):
    """Return an `ArgumentParser` that prints a script's docstring as it is."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_timing_flags(parser, repeats=9):
    """Add the flags for `interleaved` and `write_json`."""
    parser.add_argument("--repeats", type=int, default=repeats, help="turns of each (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="uncounted turns (default: %(default)s)")
    parser.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="wall",
        help="cpu counts the processor time of all threads, which other processes disturb less; use it with "
        "one thread only (default: wall)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")


def timed(call, clock="wall"):
    """Return the seconds that `call()` takes.

    Args:
        call: takes no arguments, and returns only when the device has finished.
        clock: "wall", or "cpu" for the processor time of all threads of this process.
    """
    now = CLOCKS[clock]
    started = now()
    call()
    return now() - started


def interleaved(variants, repeats, warmup=2):
    """Let variants take turns, and return {name: [seconds of each turn]}.

    Whatever slows the machine for a while then slows all variants, and ratios stay right. Every second round
    goes backwards, so that no variant always follows the same other one.

    Args:
        variants: {name: function that does the work once and returns its seconds}, such as
            `functools.partial(timed, call)`.
        repeats: counted turns.
        warmup: uncounted turns before these.
    """
    seconds = {name: [] for name in variants}
    for turn in range(-warmup, repeats):
        for name in list(variants)[:: -1 if turn % 2 else 1]:
            duration = variants[name]()
            if turn >= 0:
                seconds[name].append(duration)
    return seconds


def summary(values):
    """Return {'median', 'low', 'high', 'turns'} of a list of numbers; low and high are the quartiles."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": statistics.median(values), "low": low, "high": high, "turns": len(values)}


def ratio(seconds, name, base):
    """Return how many times the median of `base` the median of `name` is."""
    return statistics.median(seconds[name]) / statistics.median(seconds[base])


def figure(values, digits=3):
    """Return a list of numbers as "median (low to high)", the quartiles in brackets."""
    median, low, high = (f"{summary(values)[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def markdown(head, rows):
    """Return a Markdown table.

    Args:
        head: the names of the columns.
        rows: lists of as many cells, of any type.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine(clock="wall"):
    """Return what figures depend on: {'processor', 'cores', 'python', versions of packages, ...}."""
    affinity = getattr(os, "sched_getaffinity", None)
    facts = {
        "processor": processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "python": platform.python_version(),
        "clock": clock,
    }
    for name in VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[name] = metadata.version(name)
    return facts


def processor(cpuinfo="/proc/cpuinfo"):
    """Return the processor's name."""
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as file:
            named = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        named = []
    return named[0] if named else platform.processor() or platform.machine()


def write_json(path, about, seconds, **more):
    """Write all figures to a file.

    Args:
        path: of the file; None writes nothing.
        about: what the figures depend on, such as `machine()` and the flags.
        seconds: as `interleaved` returns it.
        more: further entries.
    """
    if path is None:
        return
    figures = {name: {**summary(values), "all": values} for name, values in seconds.items()}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"about": about, "seconds": figures, **more}, file, indent=1)
        file.write("\n")
