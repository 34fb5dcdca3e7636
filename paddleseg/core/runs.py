"""From configs and options to whole runs, as the commands make them."""

import contextlib

from paddleseg import parallel
from paddleseg.cvlibs import SegBuilder
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.first_look import look_at_samples
from paddleseg.distill import build
from paddleseg.evaluation.photographs import predict_images as predict
from paddleseg.options import DistillOptions, EvaluateOptions, TrainOptions
from paddleseg.training import SupervisedStep, evaluating, fit, starting
from paddleseg.utils.logger import logger

__all__ = ["distill", "evaluate", "predict", "taps_table", "train"]


def train(cfg, options=None, prepare=None):
    """Train a model by its labels alone.

    Args:
        cfg: the `Config` of the model and its training.
        options: `TrainOptions`. Default: all defaults.
        prepare: `prepare(builder)`, which may change the model of the run's `SegBuilder` in place before the
            training begins; None changes nothing. Default None.

    Returns:
        {"best_miou": ..., "best_iter": ..., "best_class_iou": ...}; {} where nothing was evaluated.
    """
    options = options or TrainOptions()
    builder = _prepare(cfg, options)
    if prepare is not None:
        prepare(builder)
    model = parallel.with_sync_batch_norm(builder.model)
    step = SupervisedStep(model, builder.loss, options.to_static_training)
    return fit(step, builder, options, evaluating.evaluation(builder, options))


def fine_tune(cfg, teacher_cfgs, options, prepare):
    """Train a student from `prepare` on, under teachers if there are some, and else by its labels alone.

    Args:
        cfg, teacher_cfgs, options, prepare: as in `distill`; `teacher_cfgs` may be empty.

    Returns:
        As `train`, of the student.
    """
    if teacher_cfgs:
        return distill(cfg, teacher_cfgs, options, prepare)
    return train(cfg, options, prepare)


def distill(cfg, teacher_cfgs, options=None, prepare=None):
    """Train a student under frozen teachers.

    Args:
        cfg: the `Config` of the student and its training.
        teacher_cfgs: a `Config` of each teacher, made with `as_teacher=True`.
        options: `DistillOptions`. Default: all defaults.
        prepare: as in `train`, for the student.

    Returns:
        As `train`, of the student.
    """
    options = options or DistillOptions()
    build.check_teacher_weights(teacher_cfgs, options)
    builder = _prepare(cfg, options, cfg.training_sections)
    if prepare is not None:
        prepare(builder)
    step = build.build_step(builder, teacher_cfgs, options)
    with contextlib.ExitStack() as end:
        if step.cache is not None:
            end.callback(step.cache.log_total)
        evaluate = evaluating.evaluation(builder, options) if step.trains_logits else None
        return fit(step, builder, options, evaluate)


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
    return evaluating.evaluate_and_log(builder, options)


def _prepare(cfg, options, sections=("train_dataset",)):
    """Choose the device, seed the generators, log what runs, and return the config's builder.

    `sections` are those that the training reads images from.
    """
    starting.start(options)
    logger.info(f"config {cfg.path}: {cfg.model_type}, {cfg.iters} iterations of {cfg.batch_size} images")
    if options.log_config:
        logger.info(f"config {cfg.path}:\n{cfg}")
    unlabeled = "unlabeled_dataset" in sections
    cfg.warn_of_differences("val_dataset", *(["unlabeled_dataset"] if unlabeled else []), "export")
    builder = SegBuilder(cfg)
    starting.look_at_data(builder, options, unlabeled, with_labeled="train_dataset" in sections)
    return builder
