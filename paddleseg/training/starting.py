"""What every training does before its first step: the device, the seed, and a look at the data."""

import paddle

from paddleseg import onednn, parallel
from paddleseg.checkpoints.resume import recorded_settings
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.first_look import look_at_samples
from paddleseg.datasets.image_cache import cache_images
from paddleseg.training.precision import check_precision
from paddleseg.utils.cpu import local_ranks
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import make_save_dir


def start(options):
    """Make the folder, choose the device, seed the generators, and log what computes.

    Args:
        options: `TrainOptions`.

    Raises:
        UserError: the folder, the device or the precision cannot be had.
    """
    make_save_dir(options.save_dir)
    parallel.set_device(options.device, options.conv_engine)
    if options.conv_engine == "auto":
        _keep_conv_engine(options)
    check_precision(options.precision)
    logger.info(
        f"Paddle {paddle.__version__} on {paddle.get_device()}, {parallel.num_ranks()} process(es), "
        f"convolutions by {onednn.engine()}"
    )
    parallel.seed_everything(options.seed)


def _keep_conv_engine(options):
    """Let the engine compute the convolutions that computed them in the checkpoint, if there is one."""
    before = recorded_settings(options)
    if before:
        onednn.use_engine(before.get("conv_engine", "paddle"))


def look_at_data(builder, options, with_unlabeled, with_labeled=True):
    """Check the files of the data sets, look at some samples, and make the cache of images.

    Args:
        builder: the `SegBuilder` of the run.
        options: `TrainOptions`.
        with_unlabeled: whether the training reads the `unlabeled_dataset`.
        with_labeled: whether it reads the `train_dataset`. Default True.

    Raises:
        UserError: a file is missing, or the cache cannot be made.
    """
    val_dataset = None if options.no_eval else builder.val_dataset
    train = builder.train_dataset if with_labeled else None
    unlabeled = builder.unlabeled_dataset if with_unlabeled else None
    check_file_lists(train, val_dataset, unlabeled, options.max_bad_samples)
    datasets = {"train_dataset": train, "val_dataset": val_dataset, "unlabeled_dataset": unlabeled}
    look_at_samples(datasets)
    if options.cache_images != "none":
        limit, folder = options.cache_images_limit, options.cache_images_dir
        cache_images(datasets, options.cache_images, limit, folder, local_ranks())
