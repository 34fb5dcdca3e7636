"""Where the time of a training step goes."""

import json
import os
import re
from collections import defaultdict

import numpy as np
import paddle.profiler as profiler

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.phases import PHASES, phase, waiting_phases

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
    """Run some iterations, write their trace, and log the phases and operators that took most of the time.

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
    with waiting_phases():
        for i in range(WARM_UP + steps):
            with phase("reading"):
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
    """Return two tables as lines: the time of each phase of a step, and of each operator (on a GPU, kernel).

    Args:
        events: the "traceEvents" of a trace, durations in microseconds.
        steps: number of iterations in the trace.
    """
    sums = defaultdict(lambda: defaultdict(lambda: np.zeros(2)))  # {kind: {name: [seconds, number]}}
    for event in events:
        kind, name = _kind_and_name(event)
        sums[kind][name] += event.get("dur", 0) / 1e6, 1
    total, phases = sums["step"]["step"][0], sums["phase"]
    kind = "kernel" if "kernel" in sums else "operator"
    rows = sorted(sums[kind].items(), key=lambda item: -item[1][0])
    if len(rows) > ROWS:
        others = sum(figures for _, figures in rows[ROWS:])
        rows = [*rows[:ROWS], (f"{len(rows) - ROWS} others", others)]
    return [
        f"profile of {steps} iterations, {total / steps * 1e3:.1f} ms each",
        *_table("phase", [(name, phases[name]) for name in PHASES if name in phases], total, steps),
        *_table(kind, rows, total, steps),
    ]


def _kind_and_name(event):
    """Return what an event measures: a "step", a "phase" of it, an "operator", a "kernel" or "nothing"."""
    if event.get("ph") != "X":
        return "nothing", ""
    category, name = event.get("cat"), re.sub(r"\[[^\]]*\]$", "", event["name"])  # without its duration
    operator = re.fullmatch(r"(\S+) (?:kernel launch|compute)", name)
    if category == "ProfileStep":
        return "step", "step"
    if category == "PythonUserDefined" and name in PHASES:
        return "phase", name
    if category == "Kernel":
        return "kernel", name
    return ("operator", operator[1]) if operator else ("nothing", "")


def _table(what, rows, total, steps):
    return [
        f"{what:<36} {'share':>7} {'ms/iter':>9} {'calls/iter':>11}",
        *(
            f"{name[:36]:<36} {seconds / total:>6.1%} {seconds / steps * 1e3:>9.2f} {number / steps:>11.1f}"
            for name, (seconds, number) in rows
        ),
    ]
