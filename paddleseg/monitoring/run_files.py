"""What a training leaves in its folder of itself: `run.yml`, what it was; `history.jsonl`, how it went."""

import datetime
import json
import math
import os
import sys

import paddle
import yaml

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

RUN_FILE = "run.yml"
HISTORY_FILE = "history.jsonl"


def write_run_file(save_dir, cfg, seed, step_record):
    """Write `run.yml`; rank 0 alone does.

    Args:
        save_dir: an existing folder.
        cfg: the `Config` of what is trained.
        seed: of the run.
        step_record: what the step says of itself, `Step.run_record()`.

    Raises:
        UserError: the file cannot be written.
    """
    if parallel.rank() != 0:
        return
    run = {
        "command": list(sys.argv),
        **step_record,
        "config_path": os.path.abspath(cfg.path),
        "config": cfg.dic,
        "seed": seed,
        "paddle": paddle.__version__,
        "device": paddle.get_device(),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    path = os.path.join(save_dir, RUN_FILE)
    try:
        with open(path + ".part", "w", encoding="utf-8") as file:
            yaml.dump(run, file, Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True)
        os.replace(path + ".part", path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


class History:
    """Appends to `history.jsonl` an object a line; what goes wrong with it does not end a training.

    Args:
        save_dir: an existing folder; None keeps no history.
        start_iter: iterations that are done already; lines after it, of a training that was broken off or of
            another one, are dropped.
    """

    def __init__(self, save_dir, start_iter=0):
        self._path = None if save_dir is None else os.path.join(save_dir, HISTORY_FILE)
        if self._path is not None and os.path.exists(self._path):
            self._unless_full(self._drop_after, start_iter)

    def add_training(self, figures):
        """Append the figures of a log line, a `Progress.summary`."""
        said = {key: figures[key] for key in ("iteration", "epoch", "losses", "lr", "ips")}
        self._append({"kind": "train", **said})

    def add_evaluation(self, scores, iteration, ema=False):
        """Append the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        said = {"miou": scores.miou, "acc": scores.acc, "kappa": scores.kappa}
        said["class_iou"] = [float(iou) for iou in scores.class_iou]
        self._append({"kind": "eval", "iteration": iteration, **said, **({"ema": True} if ema else {})})

    def _append(self, entry):
        if self._path is not None:
            self._unless_full(self._write, json.dumps(_finite(entry)))

    def _drop_after(self, iteration):
        kept = [entry for _, entry in _entries(self._path) if entry["iteration"] <= iteration]
        with open(self._path + ".part", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in kept)
        os.replace(self._path + ".part", self._path)

    def _write(self, line):
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _unless_full(self, write, *args):
        try:
            write(*args)
        except OSError as error:
            logger.warning(f"{self._path} cannot be written: {error}; the history has a gap")


def read_history(path):
    """Return the objects of a `history.jsonl`, a list of dicts, in its order; [] where there is no such file.

    A line that is no such object, as one that a full disk cut off, is left out. A number that was not finite
    is None.

    Raises:
        UserError: the file cannot be read, or an object has something else in a number's place.
    """
    try:
        numbered = _entries(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    for number, entry in numbered:
        fault = _fault(entry)
        if fault:
            raise UserError(f"{path}:{number}: {fault}")
    return [entry for _, entry in numbered]


def _entries(path):
    """Return [(number of the line, dict), ...], whatever stands in a number's place."""
    with open(path, encoding="utf-8", errors="replace") as file:
        numbered = [(number, _entry(line)) for number, line in enumerate(file, 1)]
    return [(number, entry) for number, entry in numbered if entry is not None]


def _entry(line):
    try:
        entry = _finite(json.loads(line))
    except ValueError:
        return None
    known = isinstance(entry, dict) and entry.get("kind") in ("train", "eval")
    return entry if known and isinstance(entry.get("iteration"), int) else None


def _fault(entry):
    """Return what is wrong with the figures that a report takes from an object, None if nothing is."""
    losses, class_iou = entry.get("losses") or {}, entry.get("class_iou") or []
    if not isinstance(losses, dict):
        return f"losses must be {{name: number}}, not {losses!r}"
    if not isinstance(class_iou, list):
        return f"class_iou must be a list of numbers, not {class_iou!r}"
    figures = [("miou", entry.get("miou"))]
    figures += [(f"losses.{name}", value) for name, value in losses.items()]
    figures += [(f"class_iou.{k}", value) for k, value in enumerate(class_iou)]
    wrong = [(key, value) for key, value in figures if not isinstance(value, (int, float, type(None)))]
    return "{} must be a number, not {!r}".format(*wrong[0]) if wrong else None


def _finite(value):
    """Return `value` with None for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _WithoutAliases(yaml.SafeDumper):
    """Writes what a config holds twice (`<<`, `_base_`) twice, for people to read."""

    def ignore_aliases(self, data):
        return True
