"""Where the time of a training step goes."""

import json
import os
import re
from collections import defaultdict

import paddle.profiler as profiler

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.parts import PARTS, part, timed_apart

WARM_UP = 3  # iterations
ROWS = 10  # of the table of operators


def check_length(steps, iters):
    """Raise `UserError` if a training of `iters` iterations is too short to profile `steps` of them."""
    if steps + WARM_UP > iters:
        raise UserError(
            f"profile {steps}: with {WARM_UP} iterations to warm up it takes {steps + WARM_UP}, and the "
            f"training has {iters}; a smaller number, or more iters"
        )


def profile(update, batches, start_iter, steps, folder):
    """Run some iterations, write their trace, and log the parts and operators that took most of the time.

    Args:
        update: an `Update`.
        batches: iterator of lists of batches.
        start_iter: number of iterations that are done already.
        steps: iterations to record, after `WARM_UP` others.
        folder: where "profile.json" is written, a trace for chrome://tracing or https://ui.perfetto.dev;
            ranks other than 0 write "profile_<rank>.json".
    """
    name = f"profile_{parallel.rank()}.json" if parallel.rank() else "profile.json"
    path = os.path.join(folder, name)
    recorder = profiler.Profiler(
        scheduler=(WARM_UP, WARM_UP + steps), on_trace_ready=lambda trace: trace.export(path, "json")
    )
    recorder.start()
    with timed_apart():
        for i in range(WARM_UP + steps):
            with part("reading"):
                group = next(batches)
            update(group, start_iter + i + 1)
            recorder.step()
    recorder.stop()
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    for line in report(events, steps):
        logger.info(line)
    logger.info(f"profile: the trace is {path}; this run saves nothing else")


def report(events, steps):
    """Return two tables as lines: the time of each part of a step, and of each operator or, on a GPU, kernel.

    Args:
        events: the "traceEvents" of a trace, durations in microseconds.
        steps: number of iterations in the trace.
    """
    total = sum(seconds for seconds, _ in _sums(events, _step).values())
    parts, kernels = _sums(events, _part), _sums(events, _kernel)
    what, operators = ("kernel", kernels) if kernels else ("operator", _sums(events, _operator))
    rows = sorted(operators.items(), key=lambda item: -item[1][0])
    others = rows[ROWS:]
    rows = rows[:ROWS]
    if others:
        rows.append((f"{len(others)} others", tuple(map(sum, zip(*(sums for _, sums in others))))))
    return [
        f"profile of {steps} iterations, {total / steps * 1e3:.1f} ms each",
        *_table("part", [(name, parts[name]) for name in PARTS if name in parts], total, steps),
        *_table(what, rows, total, steps),
    ]


def _sums(events, name_of):
    """Return {name: (seconds, number)} of the events to which `name_of(category, name)` gives a name."""
    sums = defaultdict(lambda: (0.0, 0))
    for event in events:
        if event.get("ph") == "X":
            name = re.sub(r"\[[^\]]*\]$", "", event["name"])  # without the duration at its end
            name = name_of(event.get("cat"), name)
            if name is not None:
                seconds, number = sums[name]
                sums[name] = (seconds + event["dur"] / 1e6, number + 1)
    return dict(sums)


def _step(category, name):
    return "step" if category == "ProfileStep" else None


def _part(category, name):
    return name if category == "PythonUserDefined" and name in PARTS else None


def _kernel(category, name):
    return name if category == "Kernel" else None


def _operator(category, name):
    match = re.fullmatch(r"(\S+) (?:kernel launch|compute)", name)
    return match and match[1]


def _table(what, rows, total, steps):
    return [
        f"{what:<36} {'share':>7} {'ms/iter':>9} {'calls/iter':>11}",
        *(
            f"{name[:36]:<36} {seconds / total:>6.1%} {seconds / steps * 1e3:>9.2f} {number / steps:>11.1f}"
            for name, (seconds, number) in rows
        ),
    ]
