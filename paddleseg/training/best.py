"""The best score so far, of the model and of its moving average."""

from paddleseg.checkpoints.checkpoint import BEST, BEST_EMA
from paddleseg.parallel.statistics import averaged_over_ranks, holding, untrained
from paddleseg.utils.logger import logger


class Best:
    """Evaluates, saves the best weights, and decides when to stop early.

    Args:
        evaluate: `evaluate(on_batch=...) -> Scores` of the model; `on_batch()` may raise to stop it.
        snapshot: a `Snapshot`.
        checkpoints: a `Checkpoints`.
        record: a `Record`.
        patience: evaluations without a better mIoU of the model after which `over` is True; None for never.
        state: what `state()` returned, to continue from; None at the beginning.
    """

    def __init__(self, evaluate, snapshot, checkpoints, record, patience=None, state=None):
        self._evaluate = evaluate
        self._snapshot = snapshot
        self._checkpoints = checkpoints
        self._record = record
        self.patience = patience
        self._model = {"best_miou": -1.0, "best_iter": 0, **(state or {}).get("model", {})}
        self._ema = {"best_miou": -1.0, "best_iter": 0, **(state or {}).get("ema", {})}
        self._without_better = (state or {}).get("without_better", 0)

    @property
    def over(self):
        """Whether `patience` evaluations in a row brought no better mIoU."""
        return self.patience is not None and self._without_better >= self.patience

    def state(self):
        """Return what it takes to continue, for JSON."""
        return {"model": self._model, "ema": self._ema, "without_better": self._without_better}

    def result(self):
        """Return {"best_miou": ..., "best_iter": ..., "best_class_iou": ...} of the model."""
        return dict(self._model)

    def evaluate(self, iteration, on_batch):
        """Evaluate, and save the weights if they are the best so far.

        Args:
            iteration: the number of the last iteration.
            on_batch: called before each batch; it may raise to stop the evaluation. Nothing has changed then.
        """
        snapshot = self._snapshot
        ema_scores = None
        with holding(snapshot.model, averaged_over_ranks(untrained(snapshot.model))):
            scores = self._evaluate(on_batch=on_batch)
            pictures = self._record.draw_pictures()
        if snapshot.ema is not None:
            logger.info("[EVAL] the moving average:")
            with snapshot.ema.holding():
                ema_scores = self._evaluate(on_batch=on_batch)
        self._record.add_evaluation(scores, iteration)
        self._record.add_pictures(pictures, iteration)
        better = scores.miou > self._model["best_miou"]
        self._without_better = 0 if better else self._without_better + 1
        if better:
            self._model = self._saved(snapshot.weights(), scores, iteration, BEST) or self._model
        self._log("The best mIoU", self._model, BEST)
        if ema_scores is not None:
            self._record.add_evaluation(ema_scores, iteration, ema=True)
            if ema_scores.miou > self._ema["best_miou"]:
                saved = self._saved(snapshot.ema_weights(), ema_scores, iteration, BEST_EMA)
                self._ema = saved or self._ema
            self._log("The best mIoU of the moving average", self._ema, BEST_EMA)

    def _saved(self, weights, scores, iteration, folder):
        """Save the best weights; return their scores, None where they could not be written."""
        best = {
            "best_miou": scores.miou,
            "best_iter": iteration,
            "best_class_iou": list(scores.class_iou),
        }
        return best if self._checkpoints.save_best(weights, best, folder) else None

    def _log(self, what, best, folder):
        if not best["best_iter"]:
            return
        logger.info(
            f"[EVAL] {what} so far is {best['best_miou']:.4f}, at iter {best['best_iter']}; its weights are "
            f"in {self._checkpoints.save_dir}/{folder}"
        )
