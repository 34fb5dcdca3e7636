"""Keys of PaddleSeg's configs that have another form here, or none: each with the reason."""

from typing import NamedTuple

from paddle.optimizer import lr

from paddleseg.cvlibs import manager


class Refused(NamedTuple):
    """A key that is not acted on.

    Attributes:
        reason: why, and what to do instead.
        idle: values that ask for what is done anyway; with these the key is accepted, and dropped.
    """

    reason: str
    idle: tuple = ()


TOP_LEVEL = {
    "learning_rate": Refused(
        "PaddleSeg before 2.1 wrote it so; write lr_scheduler: {type: PolynomialDecay, learning_rate: 0.01, "
        "power: 0.9, end_lr: 0}"
    ),
    "to_static_training": Refused(
        "it is a flag (--to_static_training), since it changes how a training is computed and not what it "
        "comes to; leave the key out",
        (False,),
    ),
    "global": Refused(
        "PaddleSeg's development branch alone has it; device and num_workers are flags (--device, "
        "--num_workers), data_format is NCHW"
    ),
    "train": Refused(
        "PaddleSeg's development branch alone has it; its keys are flags here (--save_dir, --save_interval, "
        "--log_iters, ...)"
    ),
    "test": Refused("PaddleSeg's development branch alone has it; the section's name is test_config"),
}
# Of any component whose constructor does not take them.
OF_COMPONENTS = {
    "data_format": Refused("tensors are N x C x H x W throughout; leave the key out", ("NCHW",)),
    "edge": Refused(
        "it adds a map of the masks' edges to each sample, for losses on edges, of which there is none here; "
        "leave the key out",
        (False,),
    ),
    "edge_label": Refused(
        "it needs a map of the masks' edges, which no dataset here adds to its samples; leave the key out",
        (False,),
    ),
    "loss_weight_lambda": Refused(
        "RMILoss holds no cross entropy to be weighed against, in PaddleSeg neither, where the key does "
        "nothing; leave it out, and weigh both by the coef of a MixedLoss",
        (0.5,),
    ),
    "cycle": Refused(
        "a schedule ends with the training, and does not begin again; leave the key out", (False,)
    ),
    "last_epoch": Refused(
        "a training begins at the schedule's start, or where --resume_model left it; leave the key out",
        (-1,),
    ),
    "verbose": Refused("the learning rate is in the log (--log_iters); leave the key out", (False,)),
    "lazy_mode": Refused(
        "it is for the sparse gradients of embeddings, which no model here has; leave the key out", (False,)
    ),
}
OF_TEST_CONFIG = {
    "num_workers": Refused("it is a flag (--num_workers)"),
    "print_detail": Refused("the report is always logged; leave the key out", (True,)),
    "precision": Refused("evaluation computes in float32; leave the key out", ("fp32",)),
    "amp_level": Refused("evaluation computes in float32; leave the key out", ("O1", "O2")),
    "use_multilabel": Refused("a pixel of a mask has one class; leave the key out", (False,)),
}
# Spellings that PaddleSeg still accepts.
_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}


def why_unknown(name, registry):
    """Return what to do instead of a `type` of PaddleSeg's that a registry does not have, or None."""
    if registry is not manager.LR_SCHEDULERS or not _is_schedule(name):
        return None
    there = ", ".join(sorted(registry))
    return (
        f"of Paddle's schedules there are {there}, each with warmup_iters; another must be registered by a "
        f"module under `imports`"
    )


def _is_schedule(name):
    known = getattr(lr, name, None)
    return isinstance(known, type) and issubclass(known, lr.LRScheduler)


def translate(dic):
    """Replace PaddleSeg's older spellings in a config, in place, by those of today."""
    optimizer = dic.get("optimizer")
    if isinstance(optimizer, dict) and isinstance(optimizer.get("type"), str):
        optimizer["type"] = _OPTIMIZERS.get(optimizer["type"], optimizer["type"])
