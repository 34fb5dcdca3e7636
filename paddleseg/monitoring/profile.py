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

WARMING_UP = 3
DEAREST = 10


def check_length(steps, iters):
    """Raise `UserError` unless so many steps can be profiled in a training of `iters` iterations."""
    if steps + WARMING_UP > iters:
        raise UserError(
            f"--profile {steps}: with {WARMING_UP} iterations to warm up it takes {steps + WARMING_UP}, and "
            f"the training has {iters}; a smaller number, or more --iters"
        )


def profile(update, batches, start_iter, steps, folder):
    """Make some iterations, write their trace and log the parts and operators that took most of the time.

    Args:
        update: an `Update`.
        batches: iterator of lists of batches.
        start_iter: iterations that are done already.
        steps: iterations to record, after `WARMING_UP` others.
        folder: where "profile.json" is written, a trace for chrome://tracing or https://ui.perfetto.dev; the
            ranks after the first write "profile_<rank>.json".
    """
    name = f"profile_{parallel.rank()}.json" if parallel.rank() else "profile.json"
    path = os.path.join(folder, name)
    recorder = profiler.Profiler(
        scheduler=(WARMING_UP, WARMING_UP + steps), on_trace_ready=lambda it: it.export(path, "json")
    )
    recorder.start()
    with timed_apart():
        for i in range(WARMING_UP + steps):
            with part("reading"):
                group = next(batches)
            update(group, start_iter + i + 1)
            recorder.step()
    recorder.stop()
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    for line in report(events, steps):
        logger.info(line)
    logger.info(f"--profile: the trace is {path}; nothing else of this run is kept")


def report(events, steps):
    """Return the lines that tell of a trace.

    Args:
        events: its "traceEvents", durations in microseconds.
        steps: how many iterations it is of.
    """
    whole = _sums(events, lambda event: "step" if event.get("cat") == "ProfileStep" else None)
    total = sum(seconds for seconds, _ in whole.values())
    parts = _sums(events, _part)
    kernels = _sums(events, lambda event: event["name"] if event.get("cat") == "Kernel" else None)
    what, operators = ("kernel", kernels) if kernels else ("operator", _sums(events, _operator))
    dearest = sorted(operators.items(), key=lambda item: -item[1][0])
    rest = dearest[DEAREST:]
    others = [(f"{len(rest)} others", tuple(map(sum, zip(*(told for _, told in rest)))))] if rest else []
    return [
        f"profile of {steps} iterations, {total / steps * 1e3:.1f} ms each",
        *_table("part", [(name, parts[name]) for name in PARTS if name in parts], total, steps),
        *_table(what, [*dearest[:DEAREST], *others], total, steps),
    ]


def _sums(events, name_of):
    """Return {name: (seconds, number)} of the events that `name_of` gives a name."""
    sums = defaultdict(lambda: (0.0, 0))
    for event in events:
        if event.get("ph") != "X":
            continue
        event = {**event, "name": re.sub(r"\[[^\]]*\]$", "", event["name"])}  # the duration once more
        name = name_of(event)
        if name is not None:
            seconds, number = sums[name]
            sums[name] = (seconds + event["dur"] / 1e6, number + 1)
    return dict(sums)


def _part(event):
    return event["name"] if event.get("cat") == "PythonUserDefined" and event["name"] in PARTS else None


def _operator(event):
    found = re.fullmatch(r"(\S+) (?:kernel launch|compute)", event["name"])
    return found and found[1]


def _table(what, rows, total, steps):
    return [
        f"{what:<36} {'share':>7} {'ms/iter':>9} {'calls/iter':>11}",
        *(
            f"{name[:36]:<36} {seconds / total:>6.1%} {seconds / steps * 1e3:>9.2f} {number / steps:>11.1f}"
            for name, (seconds, number) in rows
        ),
    ]
