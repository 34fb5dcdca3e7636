"""How long an iteration of each method takes on this machine."""

import json
import math
import os
import shutil
import statistics
import time

from paddleseg.comparing.plan import PLAIN
from paddleseg.comparing.results import Training
from paddleseg.comparing.storage import read_dict
from paddleseg.errors import counted
from paddleseg.report import read_runs
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file

ITERATIONS = 20
_SLOW = 4  # the first iterations of a process allocate memory and start the readers


def seconds_per_iteration(trainings, methods, limit=math.inf):
    """Return {method: seconds of an iteration}, the median of turns that the methods take on this machine.

    Each turn is a short training, whose schedules are those of a whole one, shortened. Turns alternate
    between the methods, so that whatever slows the machine for a while slows them all. What is measured stays
    in `pace.json` and is not measured again.

    Args:
        trainings: `Trainings`, with the teacher's weights.
        methods: names of methods, the plain student's among them.
        limit: seconds after which no further turn begins; each method has one turn at least. Default none.
    """
    started = time.monotonic()
    path = os.path.join(trainings.options.out, "pace.json")
    known = read_dict(path)
    # The pace depends on the threads of a training, and these on the number of jobs.
    jobs, turns_each = trainings.options.jobs, trainings.options.turns
    marks = {
        method: f"{trainings.fingerprint(Training(method, 0, ITERATIONS))} {jobs} {turns_each} {limit}"
        for method in methods
    }
    if known.get(PLAIN, {}).get("measured") != marks[PLAIN]:
        known = {}  # all others are relative to it
    missing = [method for method in methods if known.get(method, {}).get("measured") != marks[method]]
    if missing:
        turns = _turns(trainings, {method: marks[method] for method in [PLAIN, *missing]}, started + limit)
        # The machine may be faster or slower than when the others were measured. The plain student is in all
        # turns, so its pace brings the new ones to the earlier scale, and the others' iterations stay.
        scale = known[PLAIN]["seconds"] / statistics.median(turns[PLAIN]) if PLAIN in known else 1
        for method in missing:
            scaled = [scale * seconds for seconds in turns[method]]
            known[method] = {"measured": marks[method], "seconds": statistics.median(scaled), "turns": scaled}
        replace_file(path, json.dumps(known, indent=1))
        os.remove(_path_of_turns(trainings))
    return {method: known[method]["seconds"] for method in methods}


def _turns(trainings, marks, deadline):
    """Return {method: seconds of an iteration in each turn} of {method: its mark}.

    A file keeps the turns that are complete, so an interruption costs no more than one.
    """
    methods, most = list(marks), trainings.options.turns
    if trainings.engine_may_differ:
        logger.warning(
            "the pace is measured with the teacher under Paddle, and a whole training may choose onnxruntime "
            "and be faster; name the engine by teacher_engine"
        )
    logger.info(f"measuring the pace of {len(methods)} methods in {counted(most, 'turn')} at most")
    path = _path_of_turns(trainings)
    stored = read_dict(path)
    turns = stored["turns"] if stored.get("marks") == marks else []
    while not turns or (len(turns) < most and time.monotonic() < deadline):
        turns.append({method: _one_turn(trainings, method) for method in methods})
        replace_file(path, json.dumps({"marks": marks, "turns": turns}))
    return {method: [turn[method] for turn in turns] for method in methods}


def _path_of_turns(trainings):
    return os.path.join(trainings.options.out, "pace_turns.json")


def _one_turn(trainings, method):
    folder = os.path.join(trainings.options.out, "pace")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    flags = ["--no_eval", "--log_iters", 1, "--save_interval", 10**9]
    trainings.run(Training(method, 0, ITERATIONS), folder, flags)
    (run,) = read_runs([folder])
    shutil.rmtree(folder)
    return mean_of_schedule([seconds for _, seconds in run.paces()])


def mean_of_schedule(seconds):
    """Return the mean seconds of an iteration of a short training, as if its first iterations were not slow.

    A schedule may end a loss, after which an iteration is shorter. So the slow iterations are not left out,
    but replaced by those that follow them. This is exact unless a loss starts or ends in the first 40 %.

    Args:
        seconds: list, those of each of the `ITERATIONS`.
    """
    return statistics.mean([*seconds[_SLOW : 2 * _SLOW], *seconds[_SLOW:]])
