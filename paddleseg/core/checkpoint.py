"""Folders of weights and training state: `iter_N/` and `best_model/`."""

import collections
import json
import os
import re
import shutil

import paddle

from paddleseg.core import parallel
from paddleseg.errors import UserError
from paddleseg.utils.safe_pickle import read_pickle
from paddleseg.utils.weights import load_weights

STATE_FILE = "state.json"


class Checkpoints:
    """Writes and prunes the checkpoints of a run; rank 0 alone touches the disk.

    A folder is written beside and renamed, so that one with its final name is complete.

    Args:
        save_dir: folder of the run, made when there is something to write.
        keep_max: how many `iter_N` of this run to keep; the oldest go first.
    """

    def __init__(self, save_dir, keep_max=5):
        self.save_dir = save_dir
        self.keep_max = keep_max
        self._kept = collections.deque()

    def save(self, iteration, model, optimizer, state):
        """Write `iter_N/` with `model.pdparams`, `model.pdopt` and the state; prune older ones.

        Args:
            iteration: N.
            model: the layer whose weights are saved.
            optimizer: with its learning-rate schedule.
            state: dict for JSON: what else it takes to go on.
        """
        self._write(
            f"iter_{iteration}",
            {
                "model.pdparams": model.state_dict(),
                "model.pdopt": _renamed(optimizer.state_dict(), _structured_names(model)),
            },
            {"iter": iteration, "optimizer": type(optimizer).__name__, **state},
        )
        name = f"iter_{iteration}"
        if name in self._kept:
            self._kept.remove(name)
        self._kept.append(name)
        while len(self._kept) > self.keep_max:
            oldest = self._kept.popleft()
            if parallel.rank() == 0:
                shutil.rmtree(os.path.join(self.save_dir, oldest), ignore_errors=True)

    def save_best(self, model, state):
        """Write `best_model/` with `model.pdparams` and the state."""
        self._write("best_model", {"model.pdparams": model.state_dict()}, state)

    def _write(self, name, tensors, state):
        if parallel.rank() != 0:
            return
        final = os.path.join(self.save_dir, name)
        beside, old = final + ".part", final + ".old"
        try:
            for leftover in (beside, old):
                shutil.rmtree(leftover, ignore_errors=True)
            os.makedirs(beside)
            for file_name, content in tensors.items():
                paddle.save(content, os.path.join(beside, file_name))
            with open(os.path.join(beside, STATE_FILE), "w", encoding="utf-8") as file:
                json.dump(state, file, indent=1)
            if os.path.isdir(final):
                os.rename(final, old)
            os.rename(beside, final)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise UserError(f"the checkpoint {final} cannot be written: {error}") from error

    def load(self, folder, model, optimizer):
        """Bring model and optimizer to the state of a checkpoint and return what else was saved.

        Args:
            folder: an `iter_N` folder.

        Returns:
            dict with `iter`, and what `save` was given as state.

        Raises:
            UserError: the folder is no checkpoint, or one of another model.
        """
        paths = {name: os.path.join(folder, name) for name in ("model.pdparams", "model.pdopt", STATE_FILE)}
        missing = [name for name, path in paths.items() if not os.path.isfile(path)]
        if missing:
            raise UserError(
                f"--resume_model {folder}: no {', '.join(missing)} there; name an iter_N folder of a run"
            )
        load_weights(model, paths["model.pdparams"])
        state = self._read_state(paths[STATE_FILE])
        kind = state.pop("optimizer", None)
        if kind != type(optimizer).__name__:
            raise UserError(
                f"--resume_model {folder}: it was trained with {kind}, the config says "
                f"{type(optimizer).__name__}; resume with the same optimizer"
            )
        try:
            own_names = {key: name for name, key in _structured_names(model).items()}
            optimizer.set_state_dict(_renamed(read_pickle(paths["model.pdopt"]), own_names))
        except Exception as error:  # unpickling and Paddle's own checks raise nearly anything
            raise UserError(f"--resume_model {folder}: model.pdopt cannot be used: {error}") from error
        self._kept.extend(self._earlier(state["iter"]))
        return state

    @staticmethod
    def _read_state(path):
        try:
            with open(path, encoding="utf-8") as file:
                state = json.load(file)
            if not isinstance(state["iter"], int):
                raise TypeError("iter is no whole number")
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise UserError(f"the training state {path} cannot be read: {error!r}") from error
        return state

    def _earlier(self, iteration):
        """Return the names of the run's checkpoints up to an iteration, the oldest first."""
        if not os.path.isdir(self.save_dir):
            return []
        numbers = [int(n[5:]) for n in os.listdir(self.save_dir) if re.fullmatch(r"iter_\d+", n)]
        return [f"iter_{number}" for number in sorted(numbers) if number <= iteration]


def _structured_names(model):
    """Return {Paddle's internal name of a parameter: its key in the state dict}.

    The internal ones count up within a process, so they depend on whatever else was built before.
    """
    return {parameter.name: key for key, parameter in model.named_parameters()}


def _renamed(state, names):
    """Return an optimizer's state with "<parameter>_<what>" keys renamed by parameter."""
    renamed = {}
    for key, value in state.items():
        # A name may begin another one; the longest that fits is meant.
        fitting = [name for name in names if key == name or key.startswith(name + "_")]
        old = max(fitting, key=len, default="")
        renamed[names[old] + key[len(old) :] if fitting else key] = value
    return renamed
