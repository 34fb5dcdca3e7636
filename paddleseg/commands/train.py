"""`python train.py --config CONFIG.yml --save_dir output/run`: train a model by its labels alone."""

import dataclasses

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.options import TrainConfigChanges, TrainOptions

NEEDED_TO_TRAIN = ("model", "train_dataset", "optimizer", "lr_scheduler", "loss", "iters", "batch_size")


def main():
    parser = CommandParser(description="Train a segmentation model.")
    parser.add_argument("--config", required=True, help="YAML file")
    add_training_flags(parser, TrainOptions)
    args = parser.parse_args()
    options = flags.options_from(args, TrainOptions)
    process.prepare()
    from paddleseg.core import runs

    runs.train(training_config(args.config, args), options)


def add_training_flags(parser, options, hidden=(), leave_out=()):
    """Add the flags of `TrainOptions`, or of a class derived from it and the flags that change the config.

    Args:
        parser: a `CommandParser`.
        options: the class.
        hidden, leave_out: as in `flags.add_options`.
    """
    flags.add_options(parser, options, leave_out=("distill_config", *leave_out), hidden=hidden)
    flags.add_options(parser, TrainConfigChanges, leave_out)


def training_config(path, args):
    """Return the checked `Config` of a training.

    Args:
        path: YAML file.
        args: the parsed flags of `add_training_flags`.
    """
    from paddleseg.cvlibs import Config

    required = (*NEEDED_TO_TRAIN, "val_dataset") if args.do_eval else NEEDED_TO_TRAIN
    changes = flags.options_from(args, TrainConfigChanges)
    return Config(path, required=required, **dataclasses.asdict(changes))
