"""Flags that several commands share, by PaddleSeg's names, and the types of their values.

Imports nothing heavy, so that `--help` answers at once.
"""

import argparse

from paddleseg.utils.sizes import size_of_text


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
        type=boolean,
        metavar="True",
        help="measure the area under the ROC curve",
    )
    _add_switch(group, "--boundary_iou", help="measure the boundary IoU")


def positive(text):
    """Return a flag's text as a whole number above 0."""
    value = count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def seed(text):
    """Return a flag's text as a whole number that may seed generators."""
    value = count(text)
    if value >= 2**32:
        raise argparse.ArgumentTypeError("must be below 2**32")
    return value


def size(text):
    """Return a flag's text, such as 800M, as a number of bytes."""
    try:
        return size_of_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def boolean(text):
    """Return a flag's text, True or False in any case, as a bool."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() == "true"


def count(text):
    """Return a flag's text as a whole number of 0 or above."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or above")
    return int(text)
