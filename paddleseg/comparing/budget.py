"""A comparison within a budget of time: many methods for a short time, the best ones for longer."""

import json
import math
import os
import time

from paddleseg.comparing.plan import PLAIN
from paddleseg.comparing.results import Training
from paddleseg.comparing.storage import read_dict
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file

_AT_LEAST = 10  # iterations of a training


class Budget:
    """Decides how long each round of trainings may be, and remembers it for a command that is repeated.

    Half of the time that is left is for rounds on one seed, which halve the field; the other half trains the
    plain student and the best method on the plan's seeds. The seed of the rounds is none of the plan's, so
    that the table judges on runs that have chosen nothing.

    Args:
        trainings: `Trainings`, with the teacher's weights.
        seconds: the whole budget.
        started: `time.monotonic()` when it began.
    """

    def __init__(self, trainings, seconds, started):
        self.trainings = trainings
        self.seconds = seconds
        self.started = started
        self._path = os.path.join(trainings.options.out, "budget.json")
        stored = read_dict(self._path)
        if stored.get("seconds") != seconds:
            stored = {}
        self._decisions = stored.get("decisions", {})
        # Seconds of a training beside its iterations.
        self._overhead = stored.get("overhead", 0.0)

    def best(self, methods, pace, seed):
        """Return the best of some methods, by rounds that halve the field.

        Args:
            methods: names, without the plain student.
            pace: {method: seconds of an iteration}.
            seed: of all trainings.
        """
        field, rounds = list(methods), math.ceil(math.log2(len(methods)))
        reserved = self.left() / 2
        for number in range(rounds):
            seconds = (self.left() - reserved) / (rounds - number)
            iters = self._iterations(f"round {number + 1} of {sorted(field)}", field, pace, seconds)
            scores = {method: self._score(Training(method, seed, iters[method])) for method in field}
            if len(set(scores.values())) == 1:
                logger.warning(
                    f"all of {', '.join(field)} have the mIoU {scores[field[0]]:.4f} after "
                    f"{min(iters.values())} iterations, so the choice between them is by chance; name fewer "
                    f"methods by `only`, or give a longer budget"
                )
            ranked = sorted(scores, key=scores.get, reverse=True)
            field = ranked[: math.ceil(len(ranked) / 2)]
            logger.info(f"after round {number + 1} of {rounds} {', '.join(field)} remain")
        return field[0]

    def final(self, best, pace, seeds):
        """Return {method: iterations} of the plain student and the best method, for equal time."""
        seconds = self.left() / len(seeds)
        return self._iterations(f"final of {best} on {seeds}", [PLAIN, best], pace, seconds)

    def left(self):
        """Return the seconds that are left; below 0 when the budget is exceeded."""
        return self.seconds - (time.monotonic() - self.started)

    def _score(self, training):
        started = time.monotonic()
        result = self.trainings.finished(training)
        self._overhead = max(self._overhead, time.monotonic() - started - result.seconds)
        self._store()
        return result.miou

    def _iterations(self, decision, field, pace, seconds):
        """Return {method: iterations} of a round that may take some seconds."""
        mark = self._mark(field)
        if self._decisions.get(decision, {}).get("mark") != mark:
            each = seconds / len(field) - self._overhead
            each = min(each, self.trainings.plan.iters * min(pace[method] for method in field))
            iters = {method: max(_AT_LEAST, int(each / pace[method])) for method in field}
            self._decisions[decision] = {"mark": mark, "iters": iters}
            self._store()
        return self._decisions[decision]["iters"]

    def _store(self):
        stored = {"seconds": self.seconds, "overhead": self._overhead, "decisions": self._decisions}
        replace_file(self._path, json.dumps(stored, indent=1))

    def _mark(self, field):
        """Return what changes with the iterations, configs and data of the methods of a field."""
        iters = self.trainings.plan.iters
        return [self.trainings.fingerprint(Training(method, 0, iters)) for method in field]
