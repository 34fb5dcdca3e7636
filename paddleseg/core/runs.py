"""A command's arguments to a whole run: plain training, distillation, validation."""

import functools
import os

import paddle

from paddleseg import cli
from paddleseg.core import distillation, parallel
from paddleseg.core.checkpoint import Checkpoints
from paddleseg.core.evaluate import evaluate
from paddleseg.core.loading import load_batches, stack
from paddleseg.core.run_files import History, write_run_file
from paddleseg.core.step import SupervisedStep
from paddleseg.core.trainer import Trainer
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.check_distill import num_unlabeled
from paddleseg.datasets.mixing import mixed
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.weights import load_weights

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
    step = SupervisedStep(parallel.parallel_model(model), builder.loss)
    write_run_file(args.save_dir, "train", cfg, args.seed)
    return _fit(step, builder, args)


def distill(args):
    """Train a student under frozen teachers.

    Args:
        args: the parsed flags of `distill_train.py`.

    Returns:
        {'best_miou': ..., 'best_iter': ...} of the student; None where the taps were listed instead.
    """
    cfg = _training_config(args.student_config, args)
    teacher_cfgs = distillation.teacher_configs(args, weights_needed=not args.list_taps)
    if args.list_taps:
        parallel.set_device(args.device)
        return distillation.print_taps(SegBuilder(cfg), teacher_cfgs, args.seed)
    plan = distillation.make_plan(cfg, args.distill_config, len(teacher_cfgs))
    builder = _prepare(cfg, args)
    step = distillation.distill_step(builder, teacher_cfgs, plan, args.seed)
    write_run_file(args.save_dir, "distill", cfg, args.seed, teacher_cfgs, args.distill_config)
    return _fit(step, builder, args, num_unlabeled(cfg.dic))


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
        test_config={name: getattr(args, name) for name in cli.EVALUATION_FLAGS},
    )
    parallel.set_device(args.device)
    builder = SegBuilder(cfg)
    if args.model_path is not None:
        load_weights(builder.model, args.model_path)
    elif not cfg["model"].get("pretrained"):
        raise UserError("no weights to evaluate: give --model_path, or model.pretrained in the config")
    return _evaluate_and_log(builder, _num_classes(builder), args.num_workers)


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
    _check_save_dir(args.save_dir)
    parallel.set_device(args.device)
    logger.info(f"Paddle {paddle.__version__} on {paddle.get_device()}, {parallel.num_ranks()} process(es)")
    logger.info(f"config {cfg.path}:\n{cfg}")
    parallel.seed_everything(args.seed)
    return SegBuilder(cfg)


def _check_save_dir(path):
    """Refuse a folder that cannot be written before anything is trained for it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"--save_dir {path!r} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"--save_dir {path!r} cannot be written to")


def _fit(step, builder, args, unlabeled_per_batch=0):
    cfg = builder.cfg
    extra = getattr(step, "extra", None)
    optimizer = builder.optimizer
    if extra is not None:
        optimizer = builder.optimizer_of(paddle.nn.LayerDict({"model": builder.model, "extra": extra}))
    evaluation = None
    if not args.no_eval and builder.val_dataset is not None:
        num_classes = _num_classes(builder)
        evaluation = functools.partial(_evaluate_and_log, builder, num_classes, args.num_workers)
    checkpoints = Checkpoints(args.save_dir, args.keep_checkpoint_max)
    state = {}
    if args.resume_model:
        state = checkpoints.load(args.resume_model, builder.model, optimizer)
        if not os.path.isdir(os.path.join(args.save_dir, "best_model")):
            # Resumed into another folder: the best weights of the run so far are not there to be kept.
            state = {"iter": state["iter"]}
    start_iter = state.pop("iter", 0)
    if start_iter >= cfg.iters:
        raise UserError(
            f"--resume_model {args.resume_model} is at iteration {start_iter} of {cfg.iters} already"
        )
    batches, samples = mixed(
        builder.train_dataset,
        builder.unlabeled_dataset if unlabeled_per_batch else None,
        cfg.batch_size,
        unlabeled_per_batch,
        cfg.iters,
        args.seed,
        parallel.rank(),
        parallel.num_ranks(),
        start_iter,
    )
    loader = load_batches(samples, batches, args.num_workers, stack)
    # Weights are equal on all ranks; what is drawn inside the model (dropout) must not be, nor be drawn
    # once more after a resume.
    parallel.seed_everything(args.seed + parallel.rank() + start_iter * parallel.num_ranks())
    trainer = Trainer(
        step=step,
        model=builder.model,
        optimizer=optimizer,
        batches=loader,
        iters=cfg.iters,
        iters_per_epoch=batches.iters_per_epoch,
        samples_per_iter=cfg.batch_size * parallel.num_ranks(),
        checkpoints=checkpoints,
        evaluate=evaluation,
        save_interval=args.save_interval,
        log_iters=args.log_iters,
        vdl_dir=args.save_dir if args.use_vdl else None,
        history=History(args.save_dir if parallel.rank() == 0 else None, start_iter),
        start_iter=start_iter,
        best=state or None,
    )
    return trainer.fit()


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


def _evaluate_and_log(builder, num_classes, num_workers):
    dataset = builder.val_dataset
    batch_size = builder.cfg.get("batch_size", 1)
    config = builder.eval_config
    result = evaluate(builder.model, dataset, num_classes, batch_size, num_workers, config=config)
    for line in result.log_lines(len(dataset)):
        logger.info(line)
    return result
