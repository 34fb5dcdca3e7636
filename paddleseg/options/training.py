"""The settings of a training."""

import dataclasses
from typing import Literal, Optional, Sequence

from paddleseg.errors import UserError
from paddleseg.options.base import Options, RunOptions, option
from paddleseg.utils.sizes import parse_size


@dataclasses.dataclass(frozen=True)
class ConfigChanges(Options):
    """Values of a config that a command changes."""

    opts: Optional[Sequence[str]] = option(
        None,
        "values of the config to change, such as iters=10 train_dataset.dataset_root=data/mine",
        metavar="KEY=VALUE",
        action="extend",
    )


@dataclasses.dataclass(frozen=True)
class TrainConfigChanges(ConfigChanges):
    """Values of a training's config that a command changes."""

    iters: Optional[int] = option(None, "iterations; overrides the config", at_least=1)
    batch_size: Optional[int] = option(None, "samples per process; overrides the config", at_least=1)
    learning_rate: Optional[float] = option(None, "learning rate at the start; overrides the config")


@dataclasses.dataclass(frozen=True)
class TrainOptions(RunOptions):
    """How to train. The config says what to train."""

    save_dir: str = option("./output", "where weights and logs go")
    do_eval: bool = option(
        False,
        "insist on an evaluation at every save_interval; a config with a val_dataset is evaluated anyway",
    )
    no_eval: bool = option(False, "do not evaluate while training")
    log_config: bool = option(False, "print the whole config; run.yml in save_dir holds it anyway")
    use_vdl: bool = option(False, "write curves and pictures for VisualDL to save_dir")
    vdl_images: int = option(
        4,
        "with use_vdl: validation images to draw at each evaluation, 0 for none",
        at_least=0,
        metavar="N",
    )
    resume_model: Optional[str] = option(
        None,
        "an iter_N folder to continue from; 'auto' takes the newest complete one in save_dir, if any",
        metavar="DIR",
    )
    resume_anyway: bool = option(
        False, "continue although settings that change the result differ from those of the checkpoint"
    )
    use_ema: bool = option(False, "also keep, evaluate and save the moving average of the weights")
    early_stop_intervals: Optional[int] = option(
        None,
        "stop after N evaluations without a better mIoU",
        at_least=1,
        metavar="N",
        default_text="never",
    )
    accumulate_steps: int = option(
        1,
        "average the gradients of K batches for each update, which is one iteration",
        at_least=1,
        metavar="K",
    )
    max_bad_steps: int = option(
        10,
        "stop after N steps in a row whose loss is not finite; such steps are not applied",
        at_least=1,
        metavar="N",
    )
    max_bad_samples: int = option(
        0,
        "continue without up to N unreadable samples per process; each is named and replaced by another",
        at_least=0,
        metavar="N",
    )
    precision: Literal["fp32", "fp16", "bf16"] = option(
        "fp32",
        "fp16 or bf16 trains in mixed precision, which needs a GPU; weights, losses and evaluations stay "
        "float32",
    )
    amp_level: Literal["O1", "O2"] = option(
        "O1",
        "of mixed precision: O1 lowers convolutions and matrix products, O2 all operators but those known to "
        "need float32",
    )
    data_format: Literal["NCHW", "NHWC"] = option(
        "NCHW", "PaddleSeg's flag; the models compute in NCHW, and NHWC is refused"
    )
    to_static_training: bool = option(
        False, "compute the forward pass of the trained model as a static graph"
    )
    dry_run: bool = option(
        False, "build the training, compute the losses of the first batch, and end; no weights are saved"
    )
    profile: Optional[int] = option(
        None,
        "time N iterations (10 without a number) after three others, write their trace to "
        "save_dir/profile.json, print the most expensive operators, and end",
        at_least=1,
        nargs="?",
        const=10,
        metavar="N",
    )
    save_interval: int = option(1000, "iterations between checkpoints, and between evaluations", at_least=1)
    log_iters: int = option(10, "iterations between log lines", at_least=1)
    keep_checkpoint_max: int = option(5, "iter_N folders to keep", at_least=1)
    seed: int = option(0, "of weights, order and augmentation", at_least=0, at_most=2**32 - 1)
    cache_views: Optional[int] = option(
        None,
        "augment each training image in K ways, of which epoch number e shows way e mod K, so that results "
        "computed from an image can be cached",
        at_least=1,
        metavar="K",
        default_text="a new one in every epoch",
    )
    cache_images: Literal["none", "ram", "disk"] = option(
        "none",
        "decode each image and mask once and keep it, in memory that worker processes share, or in files "
        "that later runs use, too",
    )
    cache_images_limit: Optional[int] = option(
        None,
        "what cache_images may take, such as 800M or 4G; images that do not fit are decoded each time",
        at_least=1,
        parse=parse_size,
        metavar="SIZE",
        default_text="half of the free space",
    )
    cache_images_dir: Optional[str] = option(
        None,
        "where cache_images disk keeps its files",
        metavar="DIR",
        default_text="images below PADDLESEG_HOME, ~/.paddleseg",
    )

    @property
    def trains(self):
        """Whether the training is made, and not only checked or profiled."""
        return not self.dry_run and self.profile is None

    def __post_init__(self):
        super().__post_init__()
        if self.do_eval and self.no_eval:
            raise UserError("do_eval and no_eval exclude each other")
        for name in ("profile", "resume_model"):
            if self.dry_run and getattr(self, name):
                raise UserError(f"dry_run and {name} exclude each other: a dry run makes no iteration")
        if self.data_format != "NCHW":
            raise UserError(
                f"data_format {self.data_format}: the models compute in NCHW alone; leave it out. Weights "
                f"are the same in both, so weights that PaddleSeg trained in NHWC load as they are"
            )
        if self.precision == "fp32" and self.amp_level != "O1":
            raise UserError(
                f"amp_level {self.amp_level}: it says how much is computed in 16 bits, and precision is "
                f"fp32; set precision to fp16 or bf16, or leave amp_level out"
            )
        if self.cache_images == "none" and self.cache_images_limit is not None:
            raise UserError("cache_images_limit has no effect without cache_images ram or disk")
        if self.cache_images != "disk" and self.cache_images_dir is not None:
            raise UserError("cache_images_dir has no effect without cache_images disk")
