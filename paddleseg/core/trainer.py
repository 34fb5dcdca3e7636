"""The one training loop; what it trains, and by which losses, is the step's affair."""

from paddleseg.core import parallel
from paddleseg.core.progress import Board, Progress
from paddleseg.utils.logger import logger


class Trainer:
    """Runs a step over batches, updates the weights, logs, evaluates and saves.

    Args:
        step: `step(batch) -> {'loss': total, name: part, ...}` of scalar tensors, still attached; the batch
            also says the 'iteration', from 1.
        model: the layer that is evaluated and saved.
        optimizer: of everything that is trained; its learning rate is a schedule, advanced each iteration.
        batches: iterable of the batches from iteration `start_iter` + 1 to the last.
        iters: the last iteration.
        iters_per_epoch: for the log alone.
        samples_per_iter: images per iteration, all ranks together.
        checkpoints: a `Checkpoints`.
        evaluate: `evaluate() -> Scores` of the model; None trains without evaluating.
        save_interval: iterations between saves, and evaluations.
        log_iters: iterations between log lines.
        vdl_dir: folder for VisualDL's log, None for none.
        history: a `History`, None for none.
        start_iter: iterations that are done already.
        best: {'best_miou': ..., 'best_iter': ..., 'best_class_iou': ...} of the run so far.
    """

    def __init__(
        self,
        *,
        step,
        model,
        optimizer,
        batches,
        iters,
        iters_per_epoch,
        samples_per_iter,
        checkpoints,
        evaluate=None,
        save_interval=1000,
        log_iters=10,
        vdl_dir=None,
        history=None,
        start_iter=0,
        best=None,
    ):
        self.step = step
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.iters = iters
        self.checkpoints = checkpoints
        self.evaluate = evaluate
        self.save_interval = save_interval
        self.log_iters = log_iters
        self.iteration = start_iter
        self.best = best or {"best_miou": -1.0, "best_iter": 0}
        self._progress = Progress(iters, iters_per_epoch, samples_per_iter)
        self._board = Board(vdl_dir if parallel.rank() == 0 else None, history)

    def fit(self):
        """Train to the last iteration and return {'best_miou': ..., 'best_iter': ...}."""
        self.model.train()
        self._progress.start_batch()
        for batch in self.batches:
            self._progress.batch_read()
            self.iteration += 1
            lr = self.optimizer.get_lr()
            self._progress.add(self._update(batch))
            if self.iteration % self.log_iters == 0 or self.iteration == self.iters:
                self._log(lr)
            if self.iteration % self.save_interval == 0 or self.iteration == self.iters:
                self._evaluate_and_save()
            self._progress.start_batch()
        self._board.close()
        return self.best

    def _update(self, batch):
        losses = self.step({**batch, "iteration": self.iteration})
        losses["loss"].backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.optimizer._learning_rate.step()
        return losses

    def _log(self, lr):
        figures = self._progress.summary(self.iteration, lr)
        logger.info(self._progress.line(figures))
        self._board.add_training(figures)

    def _evaluate_and_save(self):
        parallel.average_buffers(self.model)
        if self.evaluate is not None:
            scores = self.evaluate()
            self._board.add_evaluation(scores, self.iteration)
            if scores.miou > self.best["best_miou"]:
                self.best = {
                    "best_miou": scores.miou,
                    "best_iter": self.iteration,
                    "best_class_iou": list(scores.class_iou),
                }
                self.checkpoints.save_best(self.model, self.best)
            logger.info(
                f"[EVAL] The best mIoU so far is {self.best['best_miou']:.4f}, of iter "
                f"{self.best['best_iter']}; its weights are in {self.checkpoints.save_dir}/best_model"
            )
        self.checkpoints.save(self.iteration, self.model, self.optimizer, self.best)
