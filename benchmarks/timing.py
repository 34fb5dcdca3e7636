"""What the benchmarks of speed share: variants that take turns, their medians, a Markdown table.

Needs only the standard library, so that it can be imported before any setting of Paddle is made.
"""

import contextlib
import json
import os
import platform
import statistics
import time
from importlib import metadata

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
VERSIONS_OF = ("paddlepaddle", "paddlepaddle-gpu", "onnxruntime", "torch")


def add_timing_flags(parser, repeats=9):
    """Add the flags that `interleaved` and `write_json` are told by."""
    parser.add_argument(
        "--repeats", type=int, default=repeats, help="turns of each variant (default: %(default)s)"
    )
    parser.add_argument(
        "--warmup", type=int, default=2, help="turns that are not counted (default: %(default)s)"
    )
    parser.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="wall",
        help="cpu counts the processor time of all threads, which other processes disturb less; compare on "
        "one thread only (default: wall)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")


def timed(call, clock="wall"):
    """Return the seconds that `call()` takes.

    Args:
        call: takes nothing; must wait for the device before it returns.
        clock: "wall", or "cpu" for the processor time of this process, all threads added.
    """
    now = CLOCKS[clock]
    started = now()
    call()
    return now() - started


def interleaved(variants, repeats, warmup=2):
    """Let variants take turns, and return the seconds of each: {name: [seconds, one a turn]}.

    What slows the machine for a while then slows all of them, and ratios stay what they are. Every second
    round goes backwards, so that nobody always follows the same neighbour.

    Args:
        variants: {name: function that does the work once and returns its seconds}, such as
            `functools.partial(timed, call)`.
        repeats: turns that count.
        warmup: turns before them that do not.
    """
    seconds = {name: [] for name in variants}
    for turn in range(-warmup, repeats):
        for name in list(variants)[:: -1 if turn % 2 else 1]:
            taken = variants[name]()
            if turn >= 0:
                seconds[name].append(taken)
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
    told = summary(values)
    return f"{told['median']:.{digits}f} ({told['low']:.{digits}f} to {told['high']:.{digits}f})"


def markdown(head, rows):
    """Return a Markdown table.

    Args:
        head: the names of the columns.
        rows: lists of as many cells, of any type.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine(clock="wall"):
    """Return what the figures depend on: {'processor', 'cores', 'python', versions of packages, ...}."""
    affinity = getattr(os, "sched_getaffinity", None)
    about = {
        "processor": processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "python": platform.python_version(),
        "clock": clock,
    }
    for name in VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            about[name] = metadata.version(name)
    return about


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
        about: what they depend on, such as `machine()` and the flags.
        seconds: as `interleaved` returns it.
        more: further entries.
    """
    if path is None:
        return
    told = {name: {**summary(values), "all": values} for name, values in seconds.items()}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"about": about, "seconds": told, **more}, file, indent=1)
        file.write("\n")
