"""A step and a command's flags to a whole training."""

import os

from paddleseg.core import parallel
from paddleseg.core.checkpoint import Checkpoints
from paddleseg.core.loading import load_batches, stack
from paddleseg.core.trainer import Trainer
from paddleseg.datasets.sampling import EpochBatches, SeededSamples
from paddleseg.errors import UserError


def fit(step, builder, args, evaluate):
    """Train, from the beginning or from a checkpoint.

    Args:
        step: as `Trainer`'s.
        builder: the `SegBuilder` of the run.
        args: the parsed flags of `cli.add_training_flags`.
        evaluate: `evaluate() -> Scores` of the model, or None.

    Returns:
        {'best_miou': ..., 'best_iter': ...}.
    """
    cfg = builder.cfg
    checkpoints = Checkpoints(args.save_dir, args.keep_checkpoint_max)
    state = {}
    if args.resume_model:
        state = checkpoints.load(args.resume_model, builder.model, builder.optimizer)
        if not os.path.isdir(os.path.join(args.save_dir, "best_model")):
            # Resumed into another folder: the best weights of the run so far are not there to be kept.
            state = {"iter": state["iter"]}
    start_iter = state.pop("iter", 0)
    if start_iter >= cfg.iters:
        raise UserError(
            f"--resume_model {args.resume_model} is at iteration {start_iter} of {cfg.iters} already"
        )
    batches = EpochBatches(
        len(builder.train_dataset),
        cfg.batch_size,
        cfg.iters,
        args.seed,
        parallel.rank(),
        parallel.num_ranks(),
        start_iter,
    )
    samples = SeededSamples(builder.train_dataset, args.seed)
    loader = load_batches(samples, batches, args.num_workers, stack)
    # Weights are equal on all ranks; what is drawn inside the model (dropout) must not be, nor be drawn
    # once more after a resume.
    parallel.seed_everything(args.seed + parallel.rank() + start_iter * parallel.num_ranks())
    trainer = Trainer(
        step=step,
        model=builder.model,
        optimizer=builder.optimizer,
        batches=loader,
        iters=cfg.iters,
        iters_per_epoch=batches.iters_per_epoch,
        samples_per_iter=cfg.batch_size * parallel.num_ranks(),
        checkpoints=checkpoints,
        evaluate=evaluate,
        save_interval=args.save_interval,
        log_iters=args.log_iters,
        vdl_dir=args.save_dir if args.use_vdl else None,
        start_iter=start_iter,
        best=state or None,
    )
    return trainer.fit()
