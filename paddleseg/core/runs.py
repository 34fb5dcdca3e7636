"""From configs and options to whole runs."""

import contextlib
import functools

import paddle

from paddleseg import onednn, parallel
from paddleseg.checkpoints.resume import recorded_settings
from paddleseg.cvlibs import SegBuilder
from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import MOST_NAMED, ignored_label
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.first_look import look_at_samples
from paddleseg.datasets.image_cache import cache_images
from paddleseg.distill import build
from paddleseg.errors import UserError
from paddleseg.evaluation.evaluator import evaluate as evaluate_model
from paddleseg.monitoring.terminal import bar_wanted
from paddleseg.options import DistillOptions, EvaluateOptions, TrainOptions
from paddleseg.training import SupervisedStep, fit
from paddleseg.training.precision import check_precision
from paddleseg.utils.cpu import local_ranks
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import make_save_dir


def train(cfg, options=None):
    """Train a model by its labels alone.

    Args:
        cfg: the `Config` of the model and its training.
        options: `TrainOptions`. Default: all defaults.

    Returns:
        {"best_miou": ..., "best_iter": ..., "best_class_iou": ...}; {} where nothing was evaluated.
    """
    options = options or TrainOptions()
    builder = _prepare(cfg, options)
    model = parallel.with_sync_batch_norm(builder.model)
    step = SupervisedStep(model, builder.loss, options.to_static_training)
    return fit(step, builder, options, _evaluation(builder, options))


def distill(cfg, teacher_cfgs, options=None):
    """Train a student under frozen teachers.

    Args:
        cfg: the `Config` of the student and its training.
        teacher_cfgs: a `Config` of each teacher, made with `as_teacher=True`.
        options: `DistillOptions`. Default: all defaults.

    Returns:
        As `train`, of the student.
    """
    options = options or DistillOptions()
    build.check_teacher_weights(teacher_cfgs, options)
    builder = _prepare(cfg, options, cfg.unlabeled_per_batch)
    step = build.build_step(builder, teacher_cfgs, options)
    with contextlib.ExitStack() as end:
        if step.cache is not None:
            end.callback(step.cache.log_total)
        return fit(step, builder, options, _evaluation(builder, options))


def taps_table(cfg, teacher_cfgs, options=None):
    """Return, as text, every tensor of student and teachers that can be distilled, with its shape.

    Args:
        cfg, teacher_cfgs, options: as `distill` takes them; weights are not needed.
    """
    options = options or DistillOptions()
    parallel.set_device(options.device, options.conv_engine)
    return build.taps_table(SegBuilder(cfg), teacher_cfgs, options.seed)


def evaluate(cfg, options=None):
    """Evaluate a trained model on the config's `val_dataset` and return its `Scores`.

    Args:
        cfg: the `Config` of the model and the data set.
        options: `EvaluateOptions`. Default: all defaults.
    """
    options = options or EvaluateOptions()
    parallel.set_device(options.device, options.conv_engine)
    cfg.warn_of_differences("val_dataset")
    builder = SegBuilder(cfg)
    check_file_lists(None, builder.val_dataset)
    look_at_samples({"val_dataset": builder.val_dataset})
    builder.trained_model(options.model_path, "evaluate")
    return _evaluate_and_log(builder, _num_classes(builder), options)


def _prepare(cfg, options, unlabeled_per_batch=0):
    """Choose the device, seed the generators, log what runs, and return the config's builder."""
    make_save_dir(options.save_dir)
    parallel.set_device(options.device, options.conv_engine)
    if options.conv_engine == "auto":
        _keep_conv_engine(options)
    check_precision(options.precision)
    logger.info(
        f"Paddle {paddle.__version__} on {paddle.get_device()}, {parallel.num_ranks()} process(es), "
        f"convolutions by {onednn.engine()}"
    )
    logger.info(f"config {cfg.path}: {cfg.model_type}, {cfg.iters} iterations of {cfg.batch_size} images")
    if options.log_config:
        logger.info(f"config {cfg.path}:\n{cfg}")
    parallel.seed_everything(options.seed)
    unlabeled = ["unlabeled_dataset"] if unlabeled_per_batch else []
    cfg.warn_of_differences("val_dataset", *unlabeled, "export")
    builder = SegBuilder(cfg)
    val_dataset = None if options.no_eval else builder.val_dataset
    unlabeled = builder.unlabeled_dataset if unlabeled_per_batch else None
    check_file_lists(builder.train_dataset, val_dataset, unlabeled, options.max_bad_samples)
    datasets = {
        "train_dataset": builder.train_dataset,
        "val_dataset": val_dataset,
        "unlabeled_dataset": unlabeled,
    }
    look_at_samples(datasets)
    if options.cache_images != "none":
        limit, folder = options.cache_images_limit, options.cache_images_dir
        cache_images(datasets, options.cache_images, limit, folder, local_ranks())
    return builder


def _keep_conv_engine(options):
    """Let the engine compute the convolutions that computed them in the checkpoint, if there is one."""
    before = recorded_settings(options)
    if before:
        onednn.use_engine(before.get("conv_engine", "paddle"))


def _evaluation(builder, options):
    """Return `evaluate(on_batch=...) -> Scores` of the model being trained; None to evaluate nothing."""
    if options.no_eval or builder.val_dataset is None:
        return None
    return functools.partial(_evaluate_and_log, builder, _num_classes(builder), options, named=set())


def _num_classes(builder):
    """Return the number of classes to evaluate, which the data set states or else the config."""
    of_dataset = getattr(builder.val_dataset, "num_classes", None)
    number = builder.cfg.num_classes if of_dataset is None else of_dataset
    if number is None:
        raise UserError(
            f"{builder.cfg.path}: val_dataset: the number of classes is stated nowhere; add num_classes at "
            f"the top of the config, or train with no_eval"
        )
    return number


def _evaluate_and_log(builder, num_classes, options, on_batch=None, named=None):
    """Return the `Scores` of the val_dataset; name classes without truth unless the set `named` has them."""
    dataset, config = builder.val_dataset, builder.eval_config
    result = evaluate_model(
        builder.model,
        dataset,
        num_classes,
        config.batch_size,
        options.num_workers,
        config,
        on_batch,
        bar_wanted(options.log_style),
    )
    for line in result.log_lines(len(dataset)):
        logger.info(line)
    by_name = [f"{name} {iou:.4f}" for name, iou in zip(class_names(dataset), result.class_iou)]
    if by_name:
        logger.info(f"[EVAL] IoU by name: {', '.join(by_name)}")
    _warn_of_absent(dataset, num_classes, result.absent, set() if named is None else named)
    return result


def _warn_of_absent(dataset, num_classes, absent, named):
    """Name the classes that no pixel of the truth has, and add them to the set `named`."""
    ignored = ignored_label(dataset)
    absent = [number for number in absent if number not in named]
    named.update(absent)
    if ignored in absent:
        absent.remove(ignored)
        if parallel.rank() == 0:
            label = labelled(class_names(dataset), num_classes)[ignored]
            logger.warning(f"[EVAL] val_dataset ignores class {label}: an IoU of 0 in the mIoU")
    if absent and parallel.rank() == 0:
        labels = labelled(class_names(dataset), num_classes)
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        logger.warning(
            f"[EVAL] val_dataset has no pixel of {'class' if len(absent) == 1 else 'classes'} "
            f"{', '.join(labels[number] for number in absent[:MOST_NAMED])}{more}: an IoU of 0 in the mIoU"
        )
