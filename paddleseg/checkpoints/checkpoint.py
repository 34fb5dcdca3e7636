"""The checkpoints of a run: `iter_N/`, `best_model/` and `ema_best_model/` in its folder."""

import functools
import json
import os
import re
import shutil

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.folder import (
    MANIFEST,
    TENSOR_SUFFIXES,
    folders_in,
    linked,
    mend_folder,
    problem,
    write_folder,
    write_json,
)
from paddleseg.checkpoints.snapshot import EMA, MODEL, OPTIMIZER
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

STATE_FILE = "state.json"
BEST, BEST_EMA = "best_model", "ema_best_model"
_BEST_FOLDERS = {"model": BEST, "ema": BEST_EMA}
# Files that each kind of folder must have; more of them depend on the training.
_NEEDED = (STATE_FILE, MODEL, OPTIMIZER)
_NEEDED_OF_BEST = {BEST: (STATE_FILE, MODEL), BEST_EMA: (STATE_FILE, EMA)}

# The types of the values that are read from a state; the key `str` stands for any key.
_SCORE = {"best_miou": float, "best_iter": int, "best_class_iou": [float]}
_STATE = {
    "iter": int,
    "outcome": {},
    "evaluation_due": bool,
    "best": {"model": _SCORE, "ema": _SCORE, "without_better": int},
    "progress": {"sums": {str: float}, "good": float},
    "bad_in_a_row": int,
    "measured": {str: float},
}
_MAY_BE_NONE = ("best", "progress")


class Checkpoints:
    """Writes, finds and prunes the checkpoints of a run; rank 0 alone writes.

    Args:
        save_dir: folder of the run, made when the first checkpoint is written.
        keep_max: how many `iter_N` of this run to keep; the oldest are removed first. Default 5.
        keep_from: `iter_N` folders up to this N count as this run's, 0 for none. Default 0.

    Attributes:
        last_good: path of the newest checkpoint that was written or continued, None if there is none.
        failed: {kind of folder: why the last attempt to save it failed}.
    """

    def __init__(self, save_dir, keep_max=5, keep_from=0):
        self.save_dir = save_dir
        self.keep_max = keep_max
        self.last_good = None
        self.failed = {}
        self._names = [f"iter_{number}" for number in numbered(save_dir) if number <= keep_from]

    def save(self, iteration, files, state):
        """Write `iter_N/`, then prune older ones; a failure is logged, and training continues.

        Args:
            iteration: N.
            files: {file name: what `paddle.save` writes}.
            state: dict for JSON.

        Returns:
            Whether it is written; the same on all ranks.
        """
        name = f"iter_{iteration}"
        if not self._write(name, files, {"iter": iteration, **state}):
            return False
        self.last_good = os.path.join(self.save_dir, name)
        self._names = [other for other in self._names if other != name] + [name]
        while len(self._names) > self.keep_max:
            oldest = self._names.pop(0)
            if parallel.rank() == 0:
                shutil.rmtree(os.path.join(self.save_dir, oldest), ignore_errors=True)
        return True

    def save_state(self, iteration, state):
        """Write the state of `iter_N/` again, whose tensors are still right; see `save`."""
        name = f"iter_{iteration}"
        folder = os.path.join(self.save_dir, name)
        files = os.listdir(folder) if parallel.rank() == 0 else []
        tensors = {f: linked(os.path.join(folder, f)) for f in files if f.endswith(TENSOR_SUFFIXES)}
        return self._write(name, tensors, {"iter": iteration, **state})

    def save_best(self, files, state, name=BEST):
        """Write the folder of the best weights; a failure is logged, and training continues."""
        return self._write(name, files, state)

    def _write(self, name, files, state):
        final = os.path.join(self.save_dir, name)
        failed = None
        if parallel.rank() == 0:
            writers = {
                file: content if callable(content) else functools.partial(_save, content)
                for file, content in files.items()
            }
            try:
                write_folder(final, {**writers, STATE_FILE: write_json(state)})
            except OSError as error:
                failed = f"{final} cannot be written: {error.strerror or error}"
                last = (
                    f"the last good checkpoint is {self.last_good}" if self.last_good else "there is none yet"
                )
                logger.warning(f"{failed}; {last}; training continues to the next save")
        kind = name.rstrip("0123456789")
        self.failed.pop(kind, None)
        if parallel.most_over_ranks(int(failed is not None)):
            self.failed[kind] = failed or f"{final} cannot be written, as rank 0 says"
        return kind not in self.failed


def mend(save_dir):
    """Repair the folder of a run that was killed while it saved."""
    if parallel.rank() == 0:
        for name in folders_in(save_dir):
            if re.fullmatch(r"iter_\d+", name) or name in (BEST, BEST_EMA):
                mend_folder(os.path.join(save_dir, name))
    parallel.most_over_ranks(0)  # the other ranks wait for the first


def newest(save_dir, warn=True):
    """Return the path of the newest sound `iter_N` folder, None without one; warn of damaged ones."""
    found = 0
    if parallel.rank() == 0:
        for number in reversed(numbered(save_dir)):
            folder = os.path.join(save_dir, f"iter_{number}")
            fault = problem(folder, _NEEDED)
            if fault is None:
                found = number
                break
            if warn and _is_of_paddleseg(folder):
                logger.warning(f"{folder} is skipped: {_why_no_checkpoint(folder)}")
            elif warn:
                logger.warning(f"the checkpoint {folder} is damaged and is skipped: {fault}")
    found = parallel.most_over_ranks(found)
    return os.path.join(save_dir, f"iter_{found}") if found else None


def _is_of_paddleseg(folder):
    """Return whether a folder has weights, but nothing that a training of this package writes beside them."""
    has = {name: os.path.isfile(os.path.join(folder, name)) for name in (MODEL, STATE_FILE, MANIFEST)}
    return has == {MODEL: True, STATE_FILE: False, MANIFEST: False}


def _why_no_checkpoint(folder):
    """Return what a path is that is no checkpoint, and what to do."""
    if not os.path.exists(folder):
        return "there is no such folder"
    if os.path.isfile(folder):
        return f"it is a file; name its folder, {os.path.dirname(folder) or '.'}"
    if _is_of_paddleseg(folder):
        weights = os.path.join(folder, MODEL)
        return (
            f"it is a checkpoint of PaddleSeg, which does not hold the state of a training as those of this "
            f"package do; begin a new training from its weights with model.pretrained {weights}, without "
            f"resume_model"
        )
    numbers = numbered(folder)
    if numbers:
        last = os.path.join(folder, f"iter_{numbers[-1]}")
        return f"it is the folder of a run; name a checkpoint in it, such as {last}"
    return f"there is no {STATE_FILE}; name an iter_N folder of a run"


def read_state(folder):
    """Return the state of a checkpoint.

    Args:
        folder: an `iter_N` folder.

    Raises:
        UserError: the folder is no checkpoint, is damaged, or its state was not written by a training.
    """
    if not os.path.isfile(os.path.join(folder, STATE_FILE)):
        raise UserError(f"resume_model {folder}: {_why_no_checkpoint(folder)}")
    best = _NEEDED_OF_BEST.get(os.path.basename(os.path.normpath(folder)))
    if best and problem(folder, best) is None:
        raise UserError(
            f"resume_model {folder}: it holds the weights of the best evaluation, and not the state of a "
            f"training; name an iter_N folder"
        )
    fault = problem(folder, _NEEDED)
    if fault:
        raise UserError(
            f"resume_model {folder} is damaged: {fault}; name another one, or let resume_model auto choose"
        )
    try:
        with open(os.path.join(folder, STATE_FILE), encoding="utf-8") as file:
            state = json.load(file)
        _check_state(state)
    except (ValueError, OSError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"resume_model {folder}: {STATE_FILE} cannot be read: {error!r}") from error
    return state


def _check_state(state):
    """Raise TypeError, KeyError or ValueError unless a training can continue from a state."""
    if not isinstance(state, dict):
        raise TypeError("it holds no dict")
    given = {key: value for key, value in state.items() if value is not None or key not in _MAY_BE_NONE}
    _check(given, _STATE, "")
    absent = {"iter"} - set(given)
    if "progress" in given:
        absent |= set(_STATE["progress"]) - set(given["progress"])
    if absent:
        raise KeyError(*sorted(absent))
    if state["iter"] < 0:
        raise ValueError("iter is negative")


def _check(value, form, where):
    """Raise TypeError unless a value has the types of `form`; missing keys are allowed."""
    kind = form if isinstance(form, type) else type(form)
    if kind is float:
        fits = type(value) is float or type(value) is int and abs(value) < 1 << 63
    else:
        fits = type(value) is kind
    if not fits:
        raise TypeError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    if kind is list:
        for item in value:
            _check(item, form[0], f"an item of {where}")
    if kind is dict:
        for key, item in value.items():
            if key in form or str in form:
                _check(item, form.get(key, form.get(str)), f"{where}.{key}".lstrip("."))


def bring_best(folder, save_dir, best):
    """Copy the best weights so far to the folder of a run that continues in another folder.


    Args:
        folder: the checkpoint.
        save_dir: the folder of the run.
        best: {"model" and "ema": the best score and its iteration}, of the checkpoint's state.

    Raises:
        UserError: they cannot be written.

    Returns:
        The keys of `best` whose weights are in `save_dir` now, sound and of that iteration; a set.
    """
    beside = os.path.dirname(os.path.abspath(folder))
    found = 0
    if parallel.rank() == 0:
        for bit, (key, name) in enumerate(_BEST_FOLDERS.items()):
            source, target = os.path.join(beside, name), os.path.join(save_dir, name)
            if not os.path.isdir(target) and _is_best(source, best.get(key)):
                _copy_folder(source, target)
            found |= _is_best(target, best.get(key)) << bit
    # Only the first rank of several machines must have the weights; all ranks must agree about it.
    found = parallel.most_over_ranks(found)
    return {key for bit, key in enumerate(_BEST_FOLDERS) if found >> bit & 1}


def _copy_folder(source, target):
    paths = {name: os.path.join(source, name) for name in os.listdir(source) if name != MANIFEST}
    # Without a folder that somebody has put there.
    writers = {
        k: functools.partial(shutil.copyfile, path) for k, path in paths.items() if os.path.isfile(path)
    }
    try:
        write_folder(target, writers)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from error


def _is_best(folder, state):
    if not state or problem(folder, _NEEDED_OF_BEST[os.path.basename(folder)]):
        return False
    with open(os.path.join(folder, STATE_FILE), encoding="utf-8") as file:
        try:
            saved = json.load(file)
        except (ValueError, RecursionError):
            return False
    return isinstance(saved, dict) and saved.get("best_iter") == state.get("best_iter")


def _save(content, path):
    paddle.save(content, path)


def numbered(save_dir):
    """Return the N of the `iter_N` folders, ascending."""
    entries = os.listdir(save_dir) if os.path.isdir(save_dir) else []
    return sorted(int(entry[5:]) for entry in entries if re.fullmatch(r"iter_\d+", entry))
