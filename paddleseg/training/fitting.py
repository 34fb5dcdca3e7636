"""A step and options to a whole training."""

import contextlib
import itertools

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.checkpoint import Checkpoints
from paddleseg.checkpoints.resume import AUTO, file_list_digests, find_checkpoint, result_settings
from paddleseg.checkpoints.snapshot import Snapshot
from paddleseg.datasets.loading import load_batches
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.errors import UserError
from paddleseg.monitoring.profile import check_length, profile
from paddleseg.monitoring.progress import Progress
from paddleseg.monitoring.record import open_record
from paddleseg.monitoring.run_file import write_run_file
from paddleseg.parallel.signals import StopRequest
from paddleseg.parallel.watchdog import Watchdog
from paddleseg.training.best import Best
from paddleseg.training.ema import Ema
from paddleseg.training.guard import BadSteps, Guard, batch_files
from paddleseg.training.measuring import measure
from paddleseg.training.norms import warn_of_single_values
from paddleseg.training.precision import autocast, loss_scale
from paddleseg.training.trainer import Trainer
from paddleseg.training.update import Update
from paddleseg.utils.logger import logger


def fit(step, builder, options, evaluate=None):
    """Train, from the beginning or from a checkpoint.

    Args:
        step: a `Step`; what it trains contains the builder's model.
        builder: the `SegBuilder` of the run.
        options: `TrainOptions`.
        evaluate: `evaluate(on_batch=...) -> Scores` of the model; None trains without evaluations.

    Returns:
        {"best_miou": ..., "best_iter": ..., "best_class_iou": ...}, or {} without evaluations, and if
        the options only check or profile the training.

    Raises:
        UserError: the options do not fit, or the checkpoint cannot be continued.
        Stopped: a signal came; everything is saved.
    """
    if options.early_stop_intervals is not None and evaluate is None:
        raise UserError("early_stop_intervals needs evaluations: a val_dataset in the config and no no_eval")
    cfg = builder.cfg
    settings = result_settings(
        cfg, options, {**_file_lists(step, builder), **step.identity()}, step.unread_sections
    )
    folder, state = find_checkpoint(options, settings, step.unread_sections)
    snapshot = _snapshot(step, builder, options)
    if folder is not None:
        _check_optimizer(folder, state, snapshot)
        snapshot.load(folder, state["iter"])
    start_iter = state.get("iter", 0)
    checkpoints = Checkpoints(options.save_dir, options.keep_checkpoint_max, keep_from=start_iter)
    checkpoints.last_good = folder
    step.take_measured(state.get("measured", {}))
    data = _Data(step, builder, options)
    loop = _loop_arguments(step, builder, options, snapshot, state, data)
    step.trained.model.train()  # one with trained weights may come in eval mode
    if options.dry_run:
        with contextlib.closing(data.read(start_iter, 1)) as groups:
            loop["update"].try_out(next(groups), start_iter + 1)
        logger.info("dry run: the training can begin; nothing was trained")
        return {}
    if options.profile:
        check_length(options.profile, cfg.iters - start_iter)
        measure(step, loop["update"], data.read, start_iter, cfg.iters)
        with contextlib.closing(loop["batches"]) as batches:
            profile(loop["update"], batches, start_iter, options.profile, options.save_dir)
        return {}
    record = open_record(step, builder, options, loop["progress"], state, settings, evaluate is not None)
    with StopRequest() as stop, Watchdog(stop), record, contextlib.closing(loop["batches"]):
        measure(step, loop["update"], data.read, start_iter, cfg.iters)
        best = None
        if evaluate is not None:
            patience = options.early_stop_intervals
            best = Best(evaluate, snapshot, checkpoints, record, patience, state.get("best"))
        trainer = Trainer(
            **loop,
            snapshot=snapshot,
            checkpoints=checkpoints,
            record=record,
            best=best,
            stop=stop,
            save_interval=options.save_interval,
            log_iters=options.log_iters,
            start_iter=start_iter,
            evaluation_due=best is not None and state.get("evaluation_due", False),
            about={"outcome": settings, "paddle": paddle.__version__, "measured": step.measured()},
        )
        if trainer.over() and folder is not None:
            _check_finished(options, folder, trainer)
        write_run_file(options.save_dir, cfg, options.seed, step.run_record())
        if cfg.batch_size == 1 and not options.to_static_training:
            warn_of_single_values(step.trained.model)
        return trainer.fit()


def _train_dataset(step, builder):
    return builder.train_dataset if step.unlabeled_per_batch < builder.cfg.batch_size else None


def _unlabeled_dataset(step, builder):
    return builder.unlabeled_dataset if step.unlabeled_per_batch else None


def _file_lists(step, builder):
    train, unlabeled = _train_dataset(step, builder), _unlabeled_dataset(step, builder)
    return file_list_digests(train_dataset=train, unlabeled_dataset=unlabeled)


def _snapshot(step, builder, options):
    trained = step.trained
    ema = Ema(trained.model) if options.use_ema else None
    return Snapshot(trained, builder.optimizer_of(trained), ema, step.saves_backbone)


def _check_optimizer(folder, state, snapshot):
    then, now = state.get("optimizer"), type(snapshot.optimizer).__name__
    if then != now:
        raise UserError(
            f"resume_model {folder}: the checkpoint was trained with {then}, and the config names {now}; "
            f"resume with the same optimizer"
        )


class _Data:
    """The batches of a training, from any iteration on.

    Args:
        step, builder, options: as `fit` takes them.
    """

    def __init__(self, step, builder, options):
        self._step = step
        self._builder = builder
        self._options = options

    def read(self, after, count=None):
        """Return a generator of the lists of batches after an iteration, `count` of them; None for all."""
        options, accumulate = self._options, self._options.accumulate_steps
        keys, samples = self.keys_and_samples(after, None if count is None else after + count)
        with_keys = self._step.with_keys
        readable = ReplacedSamples(samples, options.seed, options.max_bad_samples, with_keys=with_keys)
        split, held = _SplitBatches(keys, accumulate), 2 * accumulate
        loader = load_batches(readable, split, options.num_workers, self._step.collate, held=held)
        return _grouped(loader, accumulate)

    def keys_and_samples(self, after, last=None):
        """Return the batch sampler from iteration `after` + 1 to `last`, and the samples."""
        cfg, options = self._builder.cfg, self._options
        # One list of keys has all batches of an iteration; `_SplitBatches` cuts it.
        return mixed(
            _train_dataset(self._step, self._builder),
            _unlabeled_dataset(self._step, self._builder),
            cfg.batch_size,
            self._step.unlabeled_per_batch,
            cfg.iters if last is None else last,
            options.seed,
            rank=parallel.rank(),
            nranks=parallel.num_ranks(),
            start_iter=after,
            micro_batches=options.accumulate_steps,
            views=options.cache_views,
            # A cache compares the samples, which must not depend on the device.
            defer_normalize=not self._step.with_keys and not parallel.on_cpu(),
        )


def _loop_arguments(step, builder, options, snapshot, state, data):
    """Return what the loop works with, by the argument names of the `Trainer`."""
    cfg, start_iter, accumulate = builder.cfg, state.get("iter", 0), options.accumulate_steps
    keys, samples = data.keys_and_samples(start_iter)
    # The sampler is made again for the iteration of a bad batch alone, to name its files.
    files_of = batch_files(samples, lambda iteration: next(iter(data.keys_and_samples(iteration - 1)[0])))
    return {
        "update": Update(
            step,
            snapshot.optimizer,
            Guard(step.trained, snapshot.optimizer),
            ema=snapshot.ema,
            seed=options.seed,
            autocast=autocast(options.precision, options.amp_level),
            loss_scale=loss_scale(options.precision, state.get("loss_scale")),
        ),
        "batches": data.read(start_iter),
        "iters": cfg.iters,
        "progress": Progress(
            cfg.iters,
            keys.iters_per_epoch,
            cfg.batch_size * accumulate * parallel.num_ranks(),
            state.get("progress"),
            step.take_cache_hit_rate,
        ),
        "bad_steps": BadSteps(options.max_bad_steps, files_of, state.get("bad_in_a_row", 0)),
    }


def _check_finished(options, folder, trainer):
    """Log that a checkpoint is the end of its training; refuse one that the user named."""
    if options.resume_model != AUTO:
        early = trainer.iteration < trainer.iters
        why = "; it stopped early, since the mIoU was no better any more" if early else " already"
        raise UserError(f"resume_model {folder} is at iteration {trainer.iteration} of {trainer.iters}{why}")
    logger.info(f"{folder} is the end of this training: nothing is left to do")


class _SplitBatches:
    """The lists of keys of a batch sampler, each cut into `count` lists of equal length."""

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
