"""A command's arguments to a whole run: plain training, distillation, validation."""

import contextlib
import functools

import paddle

from paddleseg import flags
from paddleseg.core import distillation, parallel, teacher_cache
from paddleseg.core.evaluate import evaluate
from paddleseg.core.fit import fit
from paddleseg.core.folder import make_save_dir
from paddleseg.core.precision import check_precision
from paddleseg.core.resume import recorded
from paddleseg.core.step import SupervisedStep
from paddleseg.core.teacher_engine import choose_engines
from paddleseg.core.terminal import bar_wanted
from paddleseg.core.trained import trained_model
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.check_distill import num_unlabeled
from paddleseg.datasets.class_names import class_names
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.image_cache import cache_images
from paddleseg.errors import UserError
from paddleseg.models.traced import TracedModel
from paddleseg.utils.cpu import local_ranks
from paddleseg.utils.logger import logger

NEEDED_TO_TRAIN = ("model", "train_dataset", "optimizer", "lr_scheduler", "loss", "iters", "batch_size")


def train(args):
    """Train a model by its labels alone.

    Args:
        args: the parsed flags of `train.py`.

    Returns:
        {'best_miou': ..., 'best_iter': ...}.
    """
    cfg = _training_config(args.config, args)
    builder = _prepare(cfg, args)
    model = parallel.with_sync_batch_norm(builder.model)
    net = TracedModel(model) if args.to_static_training else model
    step = SupervisedStep(parallel.parallel_model(net), builder.loss)
    return fit(step, builder, args, _evaluation(builder, args))


def distill(args):
    """Train a student under frozen teachers.

    Args:
        args: the parsed flags of `distill_train.py`.

    Returns:
        {'best_miou': ..., 'best_iter': ...} of the student; None where the taps were listed instead.
    """
    cfg = _training_config(args.student_config, args)
    teacher_cache.check_flags(args)
    teacher_cfgs = distillation.teacher_configs(args, weights_needed=not args.list_taps)
    if args.list_taps:
        parallel.set_device(args.device)
        return distillation.print_taps(SegBuilder(cfg), teacher_cfgs, args.seed)
    plan = distillation.make_plan(cfg, args.distill_config, len(teacher_cfgs))
    builder = _prepare(cfg, args)
    step = distillation.distill_step(builder, teacher_cfgs, plan, args.seed, args.to_static_training)
    decided_by = {
        **distillation.decided_by(args.distill_config, teacher_cfgs, step.teachers),
        **_engines(step, builder, args),
        **teacher_cache.decided_by(args),
    }
    evaluation = _evaluation(builder, args)
    with contextlib.ExitStack() as end:
        if args.teacher_cache:
            teacher_cache.attach(step, builder, plan, args, decided_by)
        if step.cache is not None:
            end.callback(step.cache.log_total)
        return fit(
            step,
            builder,
            args,
            evaluation,
            decided_by,
            num_unlabeled(cfg.dic),
            teacher_cfgs,
            plan.distill_file,
        )


def _engines(step, builder, args):
    """Give the teachers their engines; return which, for what decides the outcome."""
    cfg = builder.cfg
    return choose_engines(
        step.teachers.teachers,
        distillation.images_of_a_batch(builder, args.seed),
        cfg.iters * args.accumulate_steps,
        args.teacher_engine,
        recorded(args),
    )


def validate(args):
    """Evaluate a model and return its `Scores`.

    Args:
        args: the parsed flags of `val.py`.
    """
    cfg = Config(
        args.config,
        opts=args.opts,
        sections=("model", "val_dataset", "test_config"),
        required=("model", "val_dataset"),
        test_config={name: getattr(args, name) for name in flags.EVALUATION_FLAGS},
    )
    parallel.set_device(args.device)
    builder = SegBuilder(cfg)
    check_file_lists(None, builder.val_dataset)
    trained_model(builder, args.model_path, "evaluate")
    with_bar = bar_wanted(args.log_style)
    return _evaluate_and_log(builder, _num_classes(builder), args.num_workers, with_bar)


def _training_config(path, args):
    required = [*NEEDED_TO_TRAIN, "val_dataset"] if args.do_eval else NEEDED_TO_TRAIN
    return Config(
        path,
        learning_rate=args.learning_rate,
        iters=args.iters,
        batch_size=args.batch_size,
        opts=args.opts,
        required=required,
    )


def _prepare(cfg, args):
    """Choose the device, seed, log the config and return its builder."""
    if args.data_format != "NCHW":
        raise UserError(
            f"--data_format {args.data_format}: the models compute in NCHW alone; leave it out. Weights are "
            f"the same in both, so those that PaddleSeg trained in NHWC load as they are"
        )
    make_save_dir(args.save_dir)
    parallel.set_device(args.device)
    check_precision(args.precision, args.amp_level)
    logger.info(f"Paddle {paddle.__version__} on {paddle.get_device()}, {parallel.num_ranks()} process(es)")
    logger.info(f"config {cfg.path}:\n{cfg}")
    parallel.seed_everything(args.seed)
    builder = SegBuilder(cfg)
    check_file_lists(
        builder.train_dataset,
        None if args.no_eval else builder.val_dataset,
        builder.unlabeled_dataset if num_unlabeled(cfg.dic) else None,
        args.max_bad_samples,
    )
    _cache_images(builder, args)
    return builder


def _cache_images(builder, args):
    if args.cache_images == "none":
        for flag in ("cache_images_limit", "cache_images_dir"):
            if getattr(args, flag) is not None:
                raise UserError(f"--{flag} means nothing without --cache_images ram or disk")
        return
    datasets = {
        "train_dataset": builder.train_dataset,
        "val_dataset": None if args.no_eval else builder.val_dataset,
        "unlabeled_dataset": builder.unlabeled_dataset if num_unlabeled(builder.cfg.dic) else None,
    }
    cache_images(datasets, args.cache_images, args.cache_images_limit, args.cache_images_dir, local_ranks())


def _evaluation(builder, args):
    """Return `evaluate(on_batch=...) -> Scores` of the model being trained; None evaluates nothing."""
    if args.no_eval or builder.val_dataset is None:
        return None
    with_bar = bar_wanted(args.log_style)
    return functools.partial(_evaluate_and_log, builder, _num_classes(builder), args.num_workers, with_bar)


def _num_classes(builder):
    """Return the number of classes to evaluate, as the dataset says or else the config."""
    said = [
        getattr(builder.val_dataset, "num_classes", None),
        builder.cfg.get("num_classes"),
        builder.cfg["model"].get("num_classes"),
    ]
    number = next((n for n in said if n is not None), None)
    if number is None:
        raise UserError(
            f"{builder.cfg.path}: val_dataset: the number of classes is said nowhere; say num_classes at the "
            f"top of the config, or train with --no_eval"
        )
    return number


def _evaluate_and_log(builder, num_classes, num_workers, with_bar, on_batch=None):
    dataset, config = builder.val_dataset, builder.eval_config
    result = evaluate(
        builder.model, dataset, num_classes, config.batch_size, num_workers, config, on_batch, with_bar
    )
    for line in result.log_lines(len(dataset)):
        logger.info(line)
    named = [f"{name} {iou:.4f}" for name, iou in zip(class_names(dataset), result.class_iou)]
    if named:
        logger.info(f"[EVAL] IoU by name: {', '.join(named)}")
    return result
