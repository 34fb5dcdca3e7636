"""`history.jsonl` in the folder of a training: the figures of its log lines and evaluations."""

import contextlib
import json
import math
import os

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file

HISTORY_FILE = "history.jsonl"


class History:
    """Appends to `history.jsonl`, one JSON object a line; an error of the disk is logged and ends nothing.

    Args:
        save_dir: an existing folder.
        start_iter: iterations that are done already. Lines of later iterations are dropped: an
            earlier training wrote them. Default 0.
    """

    def __init__(self, save_dir, start_iter=0):
        self._path = os.path.join(save_dir, HISTORY_FILE)
        if not os.path.exists(self._path):
            return
        with errors_logged(self._path):
            entries = [entry for _, entry in _entries(self._path) if entry["iteration"] <= start_iter]
            replace_file(self._path, "".join(json.dumps(entry) + "\n" for entry in entries))

    def add_training(self, figures):
        """Append the figures of a log line, a `Progress.summary`."""
        keys = ("iteration", "epoch", "losses", "lr", "ips")
        self._append({"kind": "train", **{key: figures[key] for key in keys}})

    def add_evaluation(self, scores, iteration, ema=False):
        """Append the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        entry = {"kind": "eval", "iteration": iteration}
        entry.update(miou=scores.miou, acc=scores.acc, kappa=scores.kappa)
        entry["class_iou"] = [float(iou) for iou in scores.class_iou]
        self._append({**entry, "ema": True} if ema else entry)

    def _append(self, entry):
        with errors_logged(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(entry)) + "\n")


@contextlib.contextmanager
def errors_logged(path):
    """Log an error of the disk as a warning, since a training must not end for a file of figures."""
    try:
        yield
    except OSError as error:
        logger.warning(f"{path} cannot be written: {error}; figures are missing there")


def read_history(path):
    """Return the objects of a `history.jsonl`, a list of dicts in its order; [] if there is no such file.

    Lines that are no such object, such as one that a full disk cut off, are left out. Numbers that were not
    finite are None.

    Raises:
        UserError: the file cannot be read, or an object has something else in the place of a number.
    """
    try:
        entries = _entries(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    for number, entry in entries:
        problem = _problem(entry)
        if problem:
            raise UserError(f"{path}:{number}: {problem}")
    return [entry for _, entry in entries]


def _entries(path):
    """Return [(number of the line, dict), ...]; figures are not checked."""
    entries = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            with contextlib.suppress(ValueError):
                entry = _finite(json.loads(line))
                known = isinstance(entry, dict) and entry.get("kind") in ("train", "eval")
                if known and isinstance(entry.get("iteration"), int):
                    entries.append((number, entry))
    return entries


def _problem(entry):
    """Return what is wrong with the figures of an object that a report shows, None if nothing is."""
    losses, class_iou = entry.get("losses") or {}, entry.get("class_iou") or []
    if not isinstance(losses, dict):
        return f"losses must be {{name: number}}, not {losses!r}"
    if not isinstance(class_iou, list):
        return f"class_iou must be a list of numbers, not {class_iou!r}"
    figures = {"miou": entry.get("miou"), **{f"losses.{name}": value for name, value in losses.items()}}
    figures.update((f"class_iou.{k}", value) for k, value in enumerate(class_iou))
    wrong = [item for item in figures.items() if not isinstance(item[1], (int, float, type(None)))]
    return "{} must be a number, not {!r}".format(*wrong[0]) if wrong else None


def _finite(value):
    """Return `value` with None in the place of numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
