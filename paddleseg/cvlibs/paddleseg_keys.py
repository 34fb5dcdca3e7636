"""Keys of PaddleSeg's configs that have no effect here: why, and what to write instead."""

import dataclasses
from typing import NamedTuple

from paddle.optimizer import lr

from paddleseg.cvlibs import manager
from paddleseg.errors import nearest
from paddleseg.options import (
    ConfigChanges,
    DistillOptions,
    EvalConfig,
    EvaluateOptions,
    ExportOptions,
    PredictOptions,
    TrainConfigChanges,
    TrainOptions,
)


class Refused(NamedTuple):
    """A key that has no effect here.

    Attributes:
        reason: why, and what to do instead.
        idle: values that ask for what is done anyway. With these the key is accepted, and dropped.
    """

    reason: str
    idle: tuple = ()


_NEW = "only PaddleSeg's development branch has it"
TOP_LEVEL = {
    "learning_rate": Refused(
        "it is from before PaddleSeg 2.1, or a flag (the option learning_rate); write lr_scheduler: {type: "
        "PolynomialDecay, learning_rate: 0.01, power: 0.9, end_lr: 0}"
    ),
    "to_static_training": Refused(
        "it is an option of the command, since it changes how a training is computed and not its result; "
        "leave the key out",
        (False,),
    ),
    "global": Refused(f"{_NEW}; device and num_workers are options of the commands, data_format is NCHW"),
    "train": Refused(f"{_NEW}; its keys are options of the command: save_dir, save_interval, log_iters, ..."),
    "test": Refused(f"{_NEW}; the section's name is test_config"),
}
# These concern any component whose constructor does not take them.
OF_COMPONENTS = {
    "data_format": Refused("tensors are N x C x H x W everywhere; leave the key out", ("NCHW",)),
    "edge": Refused(
        "a loss with edge_label finds the edges of the masks itself; leave the key out",
        (False, True),
    ),
    "loss_weight_lambda": Refused(
        "RMILoss holds no cross entropy to weigh against, and PaddleSeg ignores the key too; leave it out, "
        "and weigh both losses by the coef of a MixedLoss",
        (0.5,),
    ),
    "cycle": Refused("a schedule ends with the training and never restarts; leave the key out", (False,)),
    "last_epoch": Refused(
        "a training begins at the schedule's start, or where resume_model continues; leave the key out", (-1,)
    ),
    "verbose": Refused("the log has the learning rate (option log_iters); leave the key out", (False,)),
    "lazy_mode": Refused(
        "it is for the sparse gradients of embeddings, which no model here has; leave the key out", (False,)
    ),
}
OF_TEST_CONFIG = {
    "num_workers": Refused("it is an option of the command"),
    "print_detail": Refused("the report is always logged; leave the key out", (True,)),
    "precision": Refused("evaluation computes in float32; leave the key out", ("fp32",)),
    "amp_level": Refused("evaluation computes in float32; leave the key out", ("O1", "O2")),
    "use_multilabel": Refused("a pixel of a mask has one class; leave the key out", (False,)),
}
# PaddleSeg's logs print flags among the keys of the config. These have another name here, or none.
_OTHER_FLAGS = {
    "config": "config",
    "cfg": "config",
    "fp16": "precision fp16",
    "profiler_options": "profile",
    "with_softmax": "output_op softmax",
    "without_argmax": "output_op none",
    **dict.fromkeys(("for_fd", "repeats", "save_latest_only", "use_multilabel"), None),
}
_OPTIONS = (
    TrainOptions,
    DistillOptions,
    EvaluateOptions,
    PredictOptions,
    ExportOptions,
    ConfigChanges,
    TrainConfigChanges,
)
# Spellings that PaddleSeg still accepts.
_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}


def is_ignored(key, known, refused):
    """Tell whether an unknown key at the top of a config is one that PaddleSeg ignores, such as `mean`.

    Such keys hold values for YAML's anchors (`&`). A key that resembles one of this project is a misspelling.

    Args:
        key: the key.
        known: the keys that there are.
        refused: the keys that are refused with a reason.
    """
    flags = [field.name for options in _OPTIONS for field in dataclasses.fields(options)]
    return isinstance(key, str) and not (
        key in refused or why_flag(key, (key,)) or nearest(key, [*known, *refused, *flags, *_OTHER_FLAGS])
    )


def why_flag(key, path):
    """Return what to do with an unknown key that is a flag of a command, None for any other key.

    Args:
        key: its name.
        path: its key path; only at the top and in `test_config` do people write flags.
    """
    if path[:-1] not in ((), ("test_config",)):
        return None
    name = str(key).lstrip("-")
    flags = {field.name: field.name for options in _OPTIONS for field in dataclasses.fields(options)}
    flags.update(_OTHER_FLAGS)
    if name in flags:
        remedy = f"and give the option {flags[name]}" if flags[name] else "since no command here has it"
        return f"{key!r} is a flag of a command, not a key of a config; leave it out {remedy}"
    if name in {field.name for field in dataclasses.fields(EvalConfig)}:
        return f"{key!r} is a flag of a command, or a key of the section test_config; write it there"
    return None


def why_unknown(name, registry):
    """Return what to do instead of a schedule of Paddle's that a registry does not have, None for others."""
    if registry is not manager.LR_SCHEDULERS or not hasattr(lr, name):
        return None
    return (
        f"of Paddle's schedules there are {', '.join(sorted(registry))}, each with warmup_iters; a module "
        f"under `imports` may register another"
    )


def translate(dic):
    """Replace PaddleSeg's older spellings in a config, in place, by those of today."""
    optimizer = dic.get("optimizer")
    if isinstance(optimizer, dict) and isinstance(optimizer.get("type"), str):
        optimizer["type"] = _OPTIMIZERS.get(optimizer["type"], optimizer["type"])
