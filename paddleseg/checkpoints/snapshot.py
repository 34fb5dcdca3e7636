"""The tensors of a training: to files and back."""

import copy
import os
import re

import paddle
from paddle.base.layer_helper import LayerHelper

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.optimizers.lr import rewind
from paddleseg.parallel.statistics import averaged_over_ranks, of_memories, overwrite, untrained
from paddleseg.weights.load import load_weights
from paddleseg.weights.safe_pickle import read_pickle

MODEL, BACKBONE, OPTIMIZER, EXTRA, EMA, RANKS = (
    "model.pdparams",
    "backbone.pdparams",
    "model.pdopt",
    "extra.pdparams",
    "ema_model.pdparams",
    "ranks.pdparams",
)


class Snapshot:
    """All tensors that a step changes.

    Running statistics and queues differ between ranks. `ranks.pdparams` holds them for all ranks, stacked.
    The other files hold the average of the statistics, which is evaluated, and the queues of the first rank.

    Args:
        trained: a `TrainedLayer`: its `model` is saved by itself, its `extra` in a file of its own.
        optimizer: of the parameters of `trained`, with its learning-rate schedule.
        ema: an `Ema` of the model; None for none. Default None.
        with_backbone: whether the weights of the model's `backbone`, if it has one, are also saved by
            themselves, for another model's `backbone.pretrained`. Default False.
    """

    def __init__(self, trained, optimizer, ema=None, with_backbone=False):
        self.trained = trained
        self.model = trained.model
        self.extra = trained.extra
        self.optimizer = optimizer
        self.ema = ema
        self.with_backbone = with_backbone

    def weights(self):
        """Return the files of the model alone."""
        state = _shared_state(self.model)
        backbone = _without_prefix("backbone.", state) if self.with_backbone else {}
        return {MODEL: state, **({BACKBONE: backbone} if backbone else {})}

    def ema_weights(self):
        """Return the files of the averaged model alone; there must be an `Ema`."""
        return {EMA: self.ema.state_dict()}

    def files(self):
        """Return {file name: state dict} of all files of a checkpoint."""
        keys = _structured_names(self.trained)
        files = {**self.weights(), OPTIMIZER: _renamed(self.optimizer.state_dict(), keys)}
        if self.extra is not None:
            files[EXTRA] = _shared_state(self.extra)
        if self.ema is not None:
            files.update(self.ema_weights())
        if parallel.num_ranks() > 1:
            files[RANKS] = {key: parallel.gathered(value) for key, value in self._own().items()}
        return files

    def load(self, folder, iteration):
        """Restore all tensors from a checkpoint's folder, and set the schedule to its iteration.

        Args:
            folder: the checkpoint.
            iteration: the number of its last iteration.

        Raises:
            UserError: a file is missing, or belongs to another model or optimizer.
        """
        load_weights(self.model, self._path(folder, MODEL), fixed=True)
        schedule = self.optimizer._learning_rate
        fresh = copy.deepcopy(schedule)
        try:
            own_names = {key: name for name, key in _structured_names(self.trained).items()}
            saved = read_pickle(self._path(folder, OPTIMIZER))
            _load_optimizer(self.optimizer, self.trained.parameters(), _renamed(saved, own_names))
        except UserError:
            raise
        except Exception as error:  # unpickling and Paddle's own checks raise nearly anything
            raise UserError(f"resume_model {folder}: {OPTIMIZER} cannot be used: {error}") from error
        rewind(schedule, fresh, iteration)
        if self.extra is not None:
            load_weights(self.extra, self._path(folder, EXTRA), fixed=True)
        if self.ema is not None:
            self._load_ema(folder)
        if parallel.num_ranks() > 1:
            self._load_own(folder)

    def _load_ema(self, folder):
        with_ema = os.path.isfile(os.path.join(folder, EMA))
        self.ema.set_state_dict(read_pickle(os.path.join(folder, EMA if with_ema else MODEL)))

    def _load_own(self, folder):
        path = os.path.join(folder, RANKS)
        stacked = read_pickle(path) if os.path.isfile(path) else {}
        if any(len(value) != parallel.num_ranks() for value in stacked.values()):
            return
        own = {key: value[parallel.rank()] for key, value in stacked.items()}
        overwrite(self.model, _without_prefix("model.", own))
        if self.extra is not None:
            overwrite(self.extra, _without_prefix("extra.", own))
        if self.ema is not None:
            self.ema.set_state_dict(_without_prefix("ema.", own))

    def _own(self):
        parts = {"model.": untrained(self.model)}
        if self.extra is not None:
            parts["extra."] = untrained(self.extra)
        if self.ema is not None:
            parts["ema."] = self.ema.untrained()
        return {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}

    @staticmethod
    def _path(folder, name):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            raise UserError(f"resume_model {folder}: there is no {name}; was it another kind of training?")
        return path


def _load_optimizer(optimizer, parameters, state):
    """Give an optimizer a state, and its parameters theirs at once.

    Paddle would give a parameter its state in the parameter's next step, by a name that depends on what was
    made before, and refuse a step of a parameter that has none yet.
    """
    optimizer.set_state_dict(state)
    optimizer._accumulators_holder = {}
    optimizer.helper = optimizer.helper or LayerHelper(type(optimizer).__name__)  # as Paddle 2 does in a step
    names = [parameter.name for parameter in parameters]
    owners = {_owner(key, names) for key in state}
    with_state = [parameter for parameter in parameters if parameter.name in owners]
    optimizer._create_accumulators(paddle.static.default_main_program().global_block(), with_state)
    stored = {re.sub(r"_\d+$", "", key): value for key, value in state.items()}
    for kind, tensors in optimizer._accumulators.items():
        for name, tensor in tensors.items():
            tensor.set_value(stored[f"{name}_{kind}"])


def _shared_state(layer):
    own = of_memories(layer)
    shared = {key: value for key, value in untrained(layer).items() if id(value) not in own}
    return {**layer.state_dict(), **averaged_over_ranks(shared)}


def _without_prefix(prefix, values):
    return {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}


def _structured_names(layer):
    """Return {Paddle's internal name of a parameter: its key in the state dict}.

    Internal names count up within a process, so they depend on what was built before.
    """
    return {parameter.name: key for key, parameter in layer.named_parameters()}


def _renamed(state, names):
    """Return an optimizer's state with "<parameter>_<what>" keys renamed by parameter."""
    owners = {key: _owner(key, names) for key in state}
    return {
        key if owners[key] is None else names[owners[key]] + key[len(owners[key]) :]: value
        for key, value in state.items()
    }


def _owner(key, names):
    """Return the parameter's name with which a key of an optimizer's state begins, None without one."""
    # One name may be the beginning of another; the longest one that fits is right.
    return max((name for name in names if key == name or key.startswith(name + "_")), key=len, default=None)
