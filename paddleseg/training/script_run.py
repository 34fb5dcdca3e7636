"""The objects of a training that a script has made, in the place of a `Config` and its `SegBuilder`."""

import numbers

import numpy as np
import paddle

from paddleseg import onednn
from paddleseg.cvlibs.script_config import ScriptConfig
from paddleseg.errors import UserError
from paddleseg.options.inference import EvalConfig
from paddleseg.parallel.signals import handlers_restored
from paddleseg.training.evaluating import evaluation
from paddleseg.training.fitting import fit
from paddleseg.training.starting import start
from paddleseg.transforms import Compose

MOST_NUMBERS = 512  # of an array that is a setting, such as the means of the channels
# Attributes that a training changes, or that say nothing.
_NOT_SETTINGS = ("training", "last_epoch", "last_lr", "verbose", "hyperparameters")


def start_script(options, *models):
    """Do what `start` does; with conv_engine "onednn", let the models' convolutions compute by it.

    A script's layers stay as they are otherwise, so that its own loop and the trainer compute the same.
    """
    start(options)
    if options.conv_engine == "onednn":
        for model in models:
            onednn.adopt(model)


def fit_script(step, run, options):
    """Train a step of a `ScriptRun` and return what `fit` returns; signals then do what they did before."""
    with handlers_restored():
        return fit(step, run, options, evaluation(run, options))


class ScriptRun:
    """What the loop asks a `SegBuilder` for, from objects that exist already.

    Args:
        model: the model.
        train_dataset, val_dataset, unlabeled_dataset: data sets; None for none. Default None.
        optimizer: Paddle's optimizer of what is trained. Default None, for an evaluation.
        test_config: a dict of arguments of `EvalConfig`; None for whole images. Default None.
        iters, batch_size, num_classes, unlabeled_per_batch: as in `ScriptConfig`.
        **sections: what else decides the result, such as `loss`, by the names of a config's sections.

    Attributes:
        cfg: a `ScriptConfig`.
        eval_config: an `EvalConfig`.
        distill_loss: the section of that name, None without one.

    Raises:
        UserError: an argument has a wrong value.
    """

    def __init__(
        self,
        model,
        train_dataset=None,
        val_dataset=None,
        unlabeled_dataset=None,
        optimizer=None,
        test_config=None,
        iters=1,
        batch_size=1,
        num_classes=None,
        unlabeled_per_batch=0,
        **sections,
    ):
        check_dataset("train_dataset", train_dataset)
        check_dataset("val_dataset", val_dataset)
        check_dataset("unlabeled_dataset", unlabeled_dataset)
        self.model = model
        self.train_dataset = train_dataset
        self.val_dataset = val_dataset
        self.unlabeled_dataset = unlabeled_dataset
        self.distill_loss = sections.get("distill_loss")
        self.eval_config = eval_config(test_config or {})
        self._optimizer = optimizer
        parts = {
            "model": {"type": type(model).__name__},
            "train_dataset": _described_dataset(train_dataset),
            "val_dataset": _described_dataset(val_dataset),
            "unlabeled_dataset": _described_dataset(unlabeled_dataset),
            "optimizer": _described_optimizer(optimizer),
            "test_config": described(test_config or {}),
            **{name: described(section) for name, section in sections.items()},
        }
        parts = {name: part for name, part in parts.items() if part is not None}
        dic = {"iters": iters, "batch_size": batch_size, "num_classes": num_classes, **parts}
        self.cfg = ScriptConfig(dic, iters, batch_size, num_classes, unlabeled_per_batch)

    def optimizer_of(self, trained):
        """Return the optimizer, which must have the parameters of `trained`, a `TrainedLayer`."""
        check_optimizer(self._optimizer, trained)
        return self._optimizer


def check_dataset(name, dataset):
    """Raise `UserError` unless the argument `name` is None or a map-style data set."""
    kinds = paddle.io.DataLoader, paddle.io.IterableDataset
    numbered = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if dataset is not None and (isinstance(dataset, kinds) or not numbered):
        raise UserError(
            f"{name} must be a data set with __len__ and __getitem__, not {type(dataset).__name__}"
        )


def eval_config(arguments):
    """Return the `EvalConfig` of PaddleSeg's arguments, where those without their switch have no effect."""
    try:
        switched_off = ("scales", "flip_horizontal", "flip_vertical") if not arguments.get("aug_eval") else ()
        switched_off += ("crop_size", "stride") if not arguments.get("is_slide") else ()
        return EvalConfig(**{key: value for key, value in arguments.items() if key not in switched_off})
    except TypeError as error:
        raise UserError(f"test_config: {error}") from None


def check_optimizer(optimizer, trained):
    """Raise `UserError` unless an optimizer trains a `TrainedLayer`, its connectors and losses included."""
    if not isinstance(optimizer, paddle.optimizer.Optimizer):
        raise UserError(f"optimizer must be one of paddle.optimizer, not {type(optimizer).__name__}")
    if isinstance(optimizer._learning_rate, paddle.optimizer.lr.ReduceOnPlateau):
        raise UserError(
            "optimizer: ReduceOnPlateau depends on the losses, so a resumed training could not continue it; "
            "choose a schedule that depends on the iteration alone"
        )
    own = {id(parameter) for parameter in _parameters(optimizer)}
    wanted = [(name, p) for name, p in trained.named_parameters() if not p.stop_gradient]
    missing = [name for name, p in wanted if id(p) not in own]
    if len(missing) == len(wanted):
        raise UserError("optimizer: it has no parameter of this model; make the optimizer after the model")
    beside = [name for name in missing if name.startswith("extra.")]
    if beside:
        raise UserError(
            f"optimizer: it lacks what is trained beside the student, such as {beside[0]}; make it with "
            f"parameters=distiller.parameters()"
        )


def _parameters(optimizer):
    """Yield the parameters of an optimizer, which may be in groups."""
    for item in optimizer._parameter_list or []:
        yield from item["params"] if isinstance(item, dict) else [item]


def described(value):
    """Return plain values that describe an object, by which a resume notices a change of it.

    Args:
        value: a loss, a schedule, a transform, a function, or a plain value.
    """
    if isinstance(value, dict):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if _is_plain(value):
        return value
    name = getattr(value, "__name__", type(value).__name__)
    settings = getattr(value, "__dict__", {})
    plain = {k: v for k, v in settings.items() if _is_setting(k, v)}
    return {"type": name, **{key: described(item) for key, item in plain.items()}}


def _is_plain(value):
    return value is None or isinstance(value, (str, bool, np.generic)) or type(value) in (int, float)


def _is_setting(name, value):
    if name.startswith("_") or name in _NOT_SETTINGS:
        return False
    if isinstance(value, np.ndarray):
        return value.size <= MOST_NUMBERS
    listed = isinstance(value, (list, tuple)) and all(map(_is_plain, value))
    return _is_plain(value) or listed


def _described_dataset(dataset):
    """Return plain values that describe a data set, with its transforms; None for None."""
    if dataset is None:
        return None
    transforms = getattr(dataset, "transforms", None)
    transforms = transforms.transforms if isinstance(transforms, Compose) else transforms
    listed = [described(item) for item in transforms] if isinstance(transforms, (list, tuple)) else []
    return {"type": type(dataset).__name__, "length": len(dataset), "transforms": listed}


def _described_optimizer(optimizer):
    """Return plain values that describe an optimizer and its learning rate; None for None."""
    if optimizer is None:
        return None
    rate = getattr(optimizer, "_learning_rate", None)
    rate = float(rate) if isinstance(rate, numbers.Number) else described(rate)
    return {"type": type(optimizer).__name__, "learning_rate": rate}
