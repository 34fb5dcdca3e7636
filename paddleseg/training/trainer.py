"""The one training loop; its step decides what is trained, and by which losses."""

from paddleseg import parallel
from paddleseg.checkpoints.snapshot import BACKBONE
from paddleseg.errors import Stopped, UserError
from paddleseg.training.guard import APPLIED, BadStepsError
from paddleseg.utils.logger import logger


class Trainer:
    """Reads batches, updates, logs, evaluates and saves, until the last iteration or a signal.

    Args:
        update: an `Update`.
        batches: iterator of the lists of batches from iteration `start_iter` + 1 to the last.
        iters: the last iteration.
        snapshot: a `Snapshot` of what is trained.
        checkpoints: a `Checkpoints`.
        progress: a `Progress`.
        record: a `Record`.
        bad_steps: a `BadSteps`.
        best: a `Best`; None trains without evaluating.
        stop: a `StopRequest`.
        save_interval: iterations between saves, and evaluations. Default 1000.
        log_iters: iterations between log lines. Default 10.
        start_iter: iterations that an earlier process has made. Default 0.
        evaluation_due: whether the evaluation after these iterations was interrupted. Default False.
        about: dict of plain values that goes into each checkpoint's state; None for none. Default None.
    """

    def __init__(
        self,
        *,
        update,
        batches,
        iters,
        snapshot,
        checkpoints,
        progress,
        record,
        bad_steps,
        best,
        stop,
        save_interval=1000,
        log_iters=10,
        start_iter=0,
        evaluation_due=False,
        about=None,
    ):
        self.update = update
        self.batches = batches
        self.iters = iters
        self.snapshot = snapshot
        self.checkpoints = checkpoints
        self.progress = progress
        self.record = record
        self.bad_steps = bad_steps
        self.best = best
        self.stop = stop
        self.save_interval = save_interval
        self.log_iters = log_iters
        self.iteration = start_iter
        self.evaluation_due = evaluation_due
        self.about = about or {}
        # A run that continues has the checkpoint of its first iteration already.
        self._saved = start_iter

    def fit(self):
        """Train and return {"best_miou": ..., "best_iter": ..., ...}, {} without evaluations.

        Raises:
            Stopped: a signal came; everything is saved.
            UserError: there were too many bad steps, or the last checkpoint could not be written.

        Whatever else ends the training, such as an unreadable file, its work so far is saved first.
        """
        try:
            if self.evaluation_due:
                self._evaluate()
            while not self.over():
                self._iterate()
        except Stopped:
            logger.info(
                f"stopped at iteration {self.iteration} with the checkpoint {self.checkpoints.last_good}; "
                f"--resume_model auto continues from it"
            )
            raise
        except BadStepsError:  # it names the last good checkpoint
            raise
        except Exception as error:
            self._save_before_ending(error)
            raise
        if self.checkpoints.failed:
            failures = "; ".join(self.checkpoints.failed.values())
            raise UserError(f"the training has ended, but not all of its weights are saved: {failures}")
        if self.best is None:
            weights = self.checkpoints.last_good
            logger.info(f"the training has ended, without evaluations; its weights are in {weights}")
            if self.snapshot.with_backbone:
                logger.info(
                    f"to train a model from this backbone: model.backbone.pretrained={weights}/{BACKBONE}"
                )
            return {}
        return self.best.result()

    def over(self):
        """Return whether nothing is left to train or to evaluate."""
        if self.evaluation_due:
            return False
        return self.iteration >= self.iters or (self.best is not None and self.best.over)

    def _iterate(self):
        self.progress.start_batch()
        group = self._read()
        self.progress.batch_read()
        lr = self.snapshot.optimizer.get_lr()
        losses, verdicts = self.update(group, self.iteration + 1)
        self.iteration += 1
        self.progress.add(losses, verdicts[APPLIED])
        self.bad_steps.add(self.iteration, verdicts)
        self.record.advance()
        if self._due(self.log_iters):
            self.bad_steps.check(self.checkpoints.last_good)
            self.record.add_training(self.progress.summary(self.iteration, lr))
        saved = self._due(self.save_interval)
        if saved:
            self.evaluation_due = self.best is not None
            self._save()
            self._evaluate()
        signum = self._signal_of_any_rank()
        if signum:
            if not saved:
                self._save()
            raise Stopped(signum)

    def _read(self):
        """Return the batches of the next iteration.

        If one of several ranks cannot read its batches, all ranks save before they end. A rank that went on
        would wait in its step for the rank that ends.
        """
        group = error = None
        try:
            group = next(self.batches)
        except Exception as read_error:
            error = read_error
        if parallel.num_ranks() > 1 and parallel.most_over_ranks(int(error is not None)):
            if self._saved != self.iteration:
                self._save()
            error = error or UserError("another rank cannot read its data; the log of that rank says why")
        if error is not None:
            raise error
        return group

    def _due(self, interval):
        return self.iteration % interval == 0 or self.iteration == self.iters

    def _evaluate(self):
        """Make the evaluation that is due, if any, and note in the checkpoint that it is made."""
        if not self.evaluation_due:
            return
        self.best.evaluate(self.iteration, self._stop_evaluation_on_signal)
        self.evaluation_due = False
        if self._saved == self.iteration:
            self.checkpoints.save_state(self.iteration, self._state())
        else:
            self._save()
        if self.best.over:
            logger.info(f"no better mIoU for {self.best.patience} evaluations: training stops early")

    def _save(self):
        # The state holds the number of bad steps in a row, so all steps so far must be counted.
        self.bad_steps.check(self.checkpoints.last_good)
        if self.checkpoints.save(self.iteration, self.snapshot.files(), self._state()):
            self._saved = self.iteration

    def _save_before_ending(self, error):
        """Save the work since the last checkpoint, unless the error came while the weights changed."""
        # Several ranks have saved already if they could not read. After an error within a step they cannot:
        # the other ranks wait in the middle of theirs.
        if parallel.num_ranks() == 1 and self._saved != self.iteration and self.update.undo():
            self._save()
        if self.checkpoints.last_good is not None:
            logger.info(
                f"{type(error).__name__} at iteration {self.iteration + 1}: the training ends with the "
                f"checkpoint {self.checkpoints.last_good}; --resume_model auto continues from it"
            )

    def _state(self):
        return {
            **self.about,
            "optimizer": type(self.snapshot.optimizer).__name__,
            "evaluation_due": self.evaluation_due,
            "best": None if self.best is None else self.best.state(),
            "progress": self.progress.state(),
            "bad_in_a_row": self.bad_steps.in_a_row,
            "loss_scale": self.update.loss_scale_state(),
            "curves": self.record.position(),
        }

    def _stop_evaluation_on_signal(self):
        signum = parallel.most_over_ranks(self.stop.signum)
        if signum:
            raise Stopped(signum)

    def _signal_of_any_rank(self):
        """Return the signal that any rank has received, the same on all ranks; 0 for none."""
        # Reading the answer waits for the device, while the next batch could be read. So ranks on GPUs ask
        # each other only at every tenth step, and at log steps, which wait anyway.
        asking_waits = parallel.num_ranks() > 1 and not parallel.on_cpu()
        if asking_waits and self.iteration % 10 and not self._due(self.log_iters):
            return 0
        return parallel.most_over_ranks(self.stop.signum)
