"""The flags of train.py and distill_train.py, by PaddleSeg's names where it has them.

Imports nothing heavy, so that `--help` answers at once.
"""

from paddleseg.flags import add_device_flags, add_log_flag, count, positive, seed, size


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
    add_computing_flags(parser)
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
        "--seed", type=seed, default=0, help="of weights, order and augmentation (default: 0)"
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
        type=size,
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


def add_computing_flags(parser):
    """Add the flags that say how a training step is computed."""
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16"),
        default="fp32",
        help="fp16 or bf16 trains in mixed precision, which needs a GPU; weights, losses and evaluations "
        "stay float32 (default: fp32)",
    )
    parser.add_argument(
        "--amp_level",
        choices=("O1", "O2"),
        default="O1",
        help="of mixed precision: O1 lowers convolutions and matrix products, O2 all but what is known to "
        "need float32 (default: O1)",
    )
    parser.add_argument(
        "--data_format",
        choices=("NCHW", "NHWC"),
        default="NCHW",
        help="PaddleSeg's flag; the models compute in NCHW, and NHWC is refused (default: NCHW)",
    )
    parser.add_argument(
        "--to_static_training",
        action="store_true",
        help="compute the forward pass of the model that is trained as a static graph",
    )
    parser.add_argument(
        "--profile",
        nargs="?",
        const=10,
        type=positive,
        metavar="N",
        help="time N iterations (10 if not said) after three others, write their trace to "
        "save_dir/profile.json, print the dearest operators, and end",
    )
