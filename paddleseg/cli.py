"""What the commands share: flags by PaddleSeg's names, and how an error ends a process.

Imports nothing heavy, so that `--help` answers at once.
"""

import argparse
import sys

from paddleseg.errors import Stopped, UserError, one_line
from paddleseg.utils.sizes import size_of_text


def run(main):
    """Run `main()`; a mistake of the user's, or too little memory, becomes one message and exit status 2.

    A training that a signal has stopped exits with 143 (SIGTERM) or 130 (SIGINT).
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except MemoryError as error:
        remedy = "a smaller batch_size, crop or model needs less"
        print(f"error: out of memory ({one_line(error)[:300]}); {remedy}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Stopped as stop:
        sys.exit(128 + stop.signum)


def add_device_flag(parser):
    """Add the flag that says where to compute."""
    parser.add_argument(
        "--device",
        choices=("auto", "gpu", "cpu"),
        default="auto",
        help="where to compute; auto takes a GPU if there is one (default: auto)",
    )


def add_device_flags(parser):
    """Add the flags of every command that computes on a data set."""
    add_device_flag(parser)
    parser.add_argument(
        "--num_workers",
        type=count,
        default=0,
        help="processes that read data; 0 reads in the main one (default: 0)",
    )
    add_config_flag(parser)


def add_log_flag(parser):
    """Add the flag that says what a terminal shows."""
    parser.add_argument(
        "--log_style",
        choices=("auto", "bar", "plain"),
        default="auto",
        help="progress bars on stderr, or log lines alone; auto shows bars if stdout and stderr are both a "
        "terminal, bar if stderr is one (default: auto)",
    )


def add_config_flag(parser):
    """Add the flag that changes the config."""
    parser.add_argument(
        "--opts",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="values of the config to change, such as iters=10 train_dataset.dataset_root=data/mine",
    )


INFERENCE_FLAGS = (
    "aug_eval",
    "scales",
    "flip_horizontal",
    "flip_vertical",
    "is_slide",
    "crop_size",
    "stride",
)
EVALUATION_FLAGS = (*INFERENCE_FLAGS, "auc_roc", "boundary_iou")


def add_inference_flags(group, *aug_flags):
    """Add the flags that say how an image is inferred, `INFERENCE_FLAGS`; each is None if not given.

    Args:
        group: a parser, or a group of one.
        aug_flags: what the switch of scales and flips is called.
    """
    _add_switch(
        group,
        *aug_flags,
        dest="aug_eval",
        help="average the logits over --scales and flips, and forget test_config's",
    )
    group.add_argument("--scales", nargs="+", type=float, metavar="FACTOR", help="on height and width (1.0)")
    _add_switch(group, "--flip_horizontal", help=f"with {aug_flags[0]}: the mirrored image, too")
    _add_switch(group, "--flip_vertical", help=f"with {aug_flags[0]}: the image upside down, too")
    _add_switch(group, "--is_slide", help="infer in windows, and forget test_config's")
    for name, told in (("crop_size", "of a window"), ("stride", "from one window to the next")):
        told = f"with --is_slide: width and height {told}"
        group.add_argument(f"--{name}", nargs=2, type=positive, metavar=("W", "H"), help=told)


def _add_switch(group, *names, **more):
    group.add_argument(*names, action="store_true", default=None, **more)


def add_evaluation_flags(parser):
    """Add the flags that win over a config's `test_config`, `EVALUATION_FLAGS`; each is None if not given."""
    group = parser.add_argument_group("how images are inferred and measured; wins over test_config")
    add_inference_flags(group, "--aug_eval")
    # PaddleSeg's takes a value.
    group.add_argument(
        "--auc_roc",
        nargs="?",
        const=True,
        type=_boolean,
        metavar="True",
        help="measure the area under the ROC curve",
    )
    _add_switch(group, "--boundary_iou", help="measure the boundary IoU")


def add_training_flags(parser):
    """Add the flags that plain training and distillation have in common."""
    add_device_flags(parser)
    parser.add_argument(
        "--save_dir", default="./output", help="where weights and logs go (default: %(default)s)"
    )
    evaluation = parser.add_mutually_exclusive_group()
    evaluation.add_argument(
        "--do_eval",
        action="store_true",
        help="insist on evaluating at every save_interval; done anyway when the config has a val_dataset",
    )
    evaluation.add_argument("--no_eval", action="store_true", help="do not evaluate while training")
    add_log_flag(parser)
    parser.add_argument(
        "--use_vdl", action="store_true", help="write curves and pictures for VisualDL to save_dir"
    )
    parser.add_argument(
        "--vdl_images",
        type=count,
        default=4,
        metavar="N",
        help="with --use_vdl: validation images to draw at each evaluation, 0 for none (default: 4)",
    )
    parser.add_argument(
        "--resume_model",
        metavar="DIR",
        help="an iter_N folder to go on from; 'auto' takes the newest complete one in save_dir, if any",
    )
    parser.add_argument(
        "--resume_anyway",
        action="store_true",
        help="go on although the config has changed in what changes the outcome",
    )
    parser.add_argument(
        "--use_ema", action="store_true", help="also keep, evaluate and save the weights' moving average"
    )
    parser.add_argument(
        "--early_stop_intervals",
        type=positive,
        metavar="N",
        help="stop after N evaluations without a better mIoU (default: never)",
    )
    parser.add_argument(
        "--accumulate_steps",
        type=positive,
        default=1,
        metavar="K",
        help="average the gradients of K batches for each update, which is one iteration (default: 1)",
    )
    parser.add_argument(
        "--max_bad_steps",
        type=positive,
        default=10,
        metavar="N",
        help="stop after N steps in a row whose loss is not finite; they are not applied (default: 10)",
    )
    parser.add_argument(
        "--max_bad_samples",
        type=count,
        default=0,
        metavar="N",
        help="go on without up to N samples per process that cannot be read, each of which is named and "
        "replaced by another (default: 0)",
    )
    parser.add_argument("--iters", type=positive, help="iterations; overrides the config")
    parser.add_argument("--batch_size", type=positive, help="samples per process; overrides the config")
    parser.add_argument("--learning_rate", type=float, help="at the start; overrides the config")
    parser.add_argument(
        "--save_interval", type=positive, default=1000, help="iterations between saves (default: 1000)"
    )
    parser.add_argument(
        "--log_iters", type=positive, default=10, help="iterations between log lines (default: 10)"
    )
    parser.add_argument(
        "--keep_checkpoint_max", type=positive, default=5, help="iter_N folders to keep (default: 5)"
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, help="of weights, order and augmentation (default: 0)"
    )
    add_views_flag(parser)
    add_image_cache_flags(parser)


def add_image_cache_flags(parser):
    """Add the flags that keep decoded images."""
    parser.add_argument(
        "--cache_images",
        choices=("none", "ram", "disk"),
        default="none",
        help="decode each image and mask once and keep it, in memory that worker processes share, or in "
        "files that later runs use, too (default: none)",
    )
    parser.add_argument(
        "--cache_images_limit",
        type=_size,
        metavar="SIZE",
        help="what --cache_images may take, such as 800M or 4G; what does not fit is decoded each time "
        "(default: half of what is free)",
    )
    parser.add_argument(
        "--cache_images_dir",
        metavar="DIR",
        help="where --cache_images disk keeps its files (default: images below PADDLESEG_HOME, ~/.paddleseg)",
    )


def add_views_flag(parser):
    """Add the flag that limits how many augmentations a training image has."""
    parser.add_argument(
        "--cache_views",
        type=positive,
        metavar="K",
        help="augment each training image in K ways, of which an epoch shows number epoch mod K, so that "
        "what is computed of it may be kept (default: anew in every epoch)",
    )


def add_teacher_cache_flags(parser):
    """Add the flags that keep the teachers' outputs."""
    parser.add_argument(
        "--teacher_cache",
        metavar="DIR",
        help="keep the teachers' outputs of each image and view in DIR and read them from then on; needs "
        "--cache_views",
    )
    parser.add_argument(
        "--cache_dtype",
        choices=("float16", "float32"),
        default="float16",
        help="of the numbers in --teacher_cache (default: float16)",
    )


def add_engine_flag(parser):
    """Add the flag that says what computes the teachers."""
    parser.add_argument(
        "--teacher_engine",
        choices=("auto", "paddle", "onnxruntime"),
        default="auto",
        help="what computes the teachers: Paddle or, on the CPU, an export under onnxruntime; auto takes the "
        "faster one if it agrees with Paddle, and with --resume_model the same as before (default: auto)",
    )


def positive(text):
    """Return a flag's text as a whole number above 0."""
    value = count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _seed(text):
    value = count(text)
    if value >= 2**32:
        raise argparse.ArgumentTypeError("must be below 2**32")
    return value


def _size(text):
    try:
        return size_of_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _boolean(text):
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() == "true"


def count(text):
    """Return a flag's text as a whole number of 0 or above."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or above")
    return int(text)
