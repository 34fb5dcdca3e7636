"""A step and a command's flags to a whole training."""

import contextlib
import itertools

import paddle

from paddleseg.core import parallel
from paddleseg.core.best import Best
from paddleseg.core.checkpoint import Checkpoints
from paddleseg.core.ema import Ema
from paddleseg.core.guard import BadSteps, Guard, batch_files
from paddleseg.core.loading import load_batches, stack
from paddleseg.core.precision import autocast, loss_scale
from paddleseg.core.profile import check_length, profile
from paddleseg.core.progress import Progress
from paddleseg.core.record import open_record
from paddleseg.core.resume import AUTO, find_checkpoint, listed_files, outcome
from paddleseg.core.run_files import write_run_file
from paddleseg.core.signals import StopRequest
from paddleseg.core.snapshot import Snapshot
from paddleseg.core.teacher_cache import stack_with_keys
from paddleseg.core.trainer import Trainer
from paddleseg.core.update import Update
from paddleseg.core.watchdog import Watchdog
from paddleseg.cvlibs.check_distill import DISTILLATION_SECTIONS
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger


def fit(
    step,
    builder,
    args,
    evaluate,
    decided_by=None,
    unlabeled_per_batch=0,
    teacher_cfgs=(),
    distill_file=None,
):
    """Train, from the beginning or from a checkpoint.

    Args:
        step: `step(batch) -> {'loss': total, name: part, ...}`. Its `extra`, if it has one that is not None,
            is a layer that is trained, or has state, beside the model.
        builder: the `SegBuilder` of the run.
        args: the parsed flags of `training_flags.add_training_flags`.
        evaluate: `evaluate(on_batch=...) -> Scores` of the model, or None.
        decided_by: {key: value} of what decides the outcome beside config and flags; None for a plain
            training, which passes over the config's `DISTILLATION_SECTIONS`.
        unlabeled_per_batch: how many samples of a batch are of the builder's `unlabeled_dataset`.
        teacher_cfgs: the `Config` of each teacher.
        distill_file: the path of the distill_config.py, where it declares anything.

    Returns:
        {'best_miou': ..., 'best_iter': ...}.
    """
    if args.early_stop_intervals is not None and evaluate is None:
        raise UserError(
            "--early_stop_intervals needs evaluations: a val_dataset in the config and no --no_eval"
        )
    files = listed_files(
        train_dataset=builder.train_dataset,
        unlabeled_dataset=builder.unlabeled_dataset if unlabeled_per_batch else None,
    )
    unread = DISTILLATION_SECTIONS if decided_by is None else ()
    about = outcome(builder.cfg, args, {**files, **(decided_by or {})}, unread)
    folder, state = find_checkpoint(args, about, unread)
    snapshot = _snapshot(step, builder, args)
    if folder is not None:
        _check_optimizer(folder, state, snapshot)
        snapshot.load(folder)
    start_iter = state.get("iter", 0)
    checkpoints = Checkpoints(args.save_dir, args.keep_checkpoint_max, keep_from=start_iter)
    checkpoints.last_good = folder
    iterations = _iterations(step, builder, args, snapshot, state, unlabeled_per_batch)
    if args.profile:
        check_length(args.profile, builder.cfg.iters - start_iter)
        with contextlib.closing(iterations["batches"]) as batches:
            profile(iterations["update"], batches, start_iter, args.profile, args.save_dir)
        return {}
    record = open_record(step, builder, args, iterations["progress"], state, about, evaluate is not None)
    with StopRequest() as stop, Watchdog(stop), record:
        best = None
        if evaluate is not None:
            patience = args.early_stop_intervals
            best = Best(evaluate, snapshot, checkpoints, record, patience, state.get("best"))
        with contextlib.closing(iterations["batches"]):
            trainer = Trainer(
                **iterations,
                snapshot=snapshot,
                checkpoints=checkpoints,
                record=record,
                best=best,
                stop=stop,
                save_interval=args.save_interval,
                log_iters=args.log_iters,
                start_iter=start_iter,
                evaluation_due=best is not None and state.get("evaluation_due", False),
                about={"outcome": about, "paddle": paddle.__version__},
            )
            if trainer.over() and folder is not None:
                _say_over(args, folder, trainer)
            write_run_file(args.save_dir, builder.cfg, args.seed, teacher_cfgs, distill_file)
            return trainer.fit()


def _snapshot(step, builder, args):
    model, extra = builder.model, getattr(step, "extra", None)
    trained = model if extra is None else ModelAndExtra(model, extra)
    optimizer = builder.optimizer if extra is None else builder.optimizer_of(trained)
    return Snapshot(model, optimizer, trained, extra, Ema(model) if args.use_ema else None)


def _check_optimizer(folder, state, snapshot):
    then, now = state.get("optimizer"), type(snapshot.optimizer).__name__
    if then != now:
        raise UserError(
            f"--resume_model {folder}: it was trained with {then}, the config says {now}; resume with the "
            f"same optimizer"
        )


def _iterations(step, builder, args, snapshot, state, unlabeled_per_batch):
    """Return what makes the iterations: how batches are drawn, used and told of."""
    cfg, start_iter, accumulate = builder.cfg, state.get("iter", 0), args.accumulate_steps
    cache = getattr(step, "cache", None)
    # A teachers' cache compares what the samples have, which must not depend on the device.
    unfinished = cache is None and not parallel.on_cpu()

    def drawn_from(iteration):
        # The keys of an iteration's batches come as those of one batch that is so much larger.
        return mixed(
            builder.train_dataset,
            builder.unlabeled_dataset if unlabeled_per_batch else None,
            cfg.batch_size,
            unlabeled_per_batch,
            cfg.iters,
            args.seed,
            parallel.rank(),
            parallel.num_ranks(),
            iteration,
            accumulate,
            args.cache_views,
            unfinished,
        )

    keys, samples = drawn_from(start_iter)
    readable = ReplacedSamples(samples, args.seed, args.max_bad_samples, with_keys=cache is not None)
    collate = stack if cache is None else stack_with_keys
    loader = load_batches(readable, _Parts(keys, accumulate), args.num_workers, collate)
    layers = [layer for layer in (snapshot.model, snapshot.extra) if layer is not None]
    guard = Guard(layers, snapshot.optimizer)
    progress = Progress(
        cfg.iters,
        keys.iters_per_epoch,
        cfg.batch_size * accumulate * parallel.num_ranks(),
        state.get("progress"),
        None if cache is None else cache.share_of_hits,
    )
    files_of = batch_files(samples, lambda iteration: next(iter(drawn_from(iteration - 1)[0])))
    return {
        "update": Update(
            step,
            snapshot.optimizer,
            guard,
            snapshot.ema,
            args.seed,
            autocast(args.precision, args.amp_level),
            loss_scale(args.precision, state.get("loss_scale")),
        ),
        "batches": _grouped(loader, accumulate),
        "iters": cfg.iters,
        "progress": progress,
        "bad_steps": BadSteps(args.max_bad_steps, files_of, state.get("bad_in_a_row", 0)),
    }


def _say_over(args, folder, trainer):
    """Tell that a checkpoint is of a finished training; that is a mistake where it was named."""
    if args.resume_model != AUTO:
        raise UserError(
            f"--resume_model {folder} is at iteration {trainer.iteration} of {trainer.iters} already"
        )
    logger.info(f"{folder} is the end of this training: nothing is left to do")


class ModelAndExtra(paddle.nn.Layer):
    """A model and what is trained beside it as one layer; the model's parameters keep their names."""

    def __init__(self, model, extra):
        super().__init__()
        self.model = model
        self.extra = extra

    def named_parameters(self, prefix="", include_sublayers=True):
        """Yield the model's parameters under their own names, then those of "extra."."""
        yield from self.model.named_parameters(prefix, include_sublayers)
        yield from self.extra.named_parameters(f"{prefix}.extra" if prefix else "extra", include_sublayers)


class _Parts:
    """Each list of keys of a batch sampler in `count` parts of equal length, one after the other."""

    def __init__(self, batches, count):
        self._batches = batches
        self._count = count

    def __iter__(self):
        for keys in self._batches:
            size = len(keys) // self._count
            for start in range(0, len(keys), size):
                yield keys[start : start + size]

    def __len__(self):
        return len(self._batches) * self._count


def _grouped(batches, count):
    """Yield lists of `count` batches of a generator."""
    with contextlib.closing(batches):
        while group := list(itertools.islice(batches, count)):
            yield group
