"""The figures of a training log line, and where they are written."""

import time


class Progress:
    """Sums what happens between two log lines; the host reads the device only when one is due.

    Args:
        iters: last iteration of the run.
        iters_per_epoch: of the training set.
        samples_per_iter: images per iteration, all ranks together.
    """

    def __init__(self, iters, iters_per_epoch, samples_per_iter):
        self._iters = iters
        self._iters_per_epoch = iters_per_epoch
        self._samples_per_iter = samples_per_iter
        self._reset()

    def _reset(self):
        self._sums = {}
        self._count = 0
        self._batch_seconds = self._reader_seconds = 0.0

    def start_batch(self):
        """Begin the wait for a batch."""
        self._started = time.perf_counter()

    def batch_read(self):
        """The batch is there; what follows is computing."""
        self._reader_seconds += time.perf_counter() - self._started

    def add(self, losses):
        """Add the losses of an iteration, a dict of scalar tensors, without reading them."""
        for name, value in losses.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1
        self._batch_seconds += time.perf_counter() - self._started

    def summary(self, iteration, lr):
        """Return the means since the last summary, and begin anew; reads the device.

        Returns:
            dict with `iteration`, `epoch`, `losses` (name to float), `lr`, `batch_cost` and `reader_cost`
            (seconds), `ips` (images per second, all ranks together) and `eta` (seconds).
        """
        losses = {name: float(total) / self._count for name, total in self._sums.items()}
        batch_cost = self._batch_seconds / self._count
        figures = {
            "iteration": iteration,
            "epoch": (iteration - 1) // self._iters_per_epoch + 1,
            "losses": losses,
            "lr": lr,
            "batch_cost": batch_cost,
            "reader_cost": self._reader_seconds / self._count,
            "ips": self._samples_per_iter / batch_cost,
            "eta": (self._iters - iteration) * batch_cost,
        }
        self._reset()
        return figures

    def line(self, figures):
        """Return a summary as PaddleSeg prints it."""
        losses = ", ".join(f"{name}: {value:.4f}" for name, value in figures["losses"].items())
        return (
            f"[TRAIN] epoch: {figures['epoch']}, iter: {figures['iteration']}/{self._iters}, {losses}, "
            f"lr: {figures['lr']:.6f}, batch_cost: {figures['batch_cost']:.4f}, "
            f"reader_cost: {figures['reader_cost']:.5f}, ips: {figures['ips']:.4f} samples/sec "
            f"| ETA {clock(figures['eta'])}"
        )


class Board:
    """Writes curves for VisualDL under PaddleSeg's tags, or nothing at all.

    Args:
        folder: where the log goes; None writes nothing.
        history: a `History` that is told the same, or None.
    """

    def __init__(self, folder=None, history=None):
        self._history = history
        self._writer = None
        if folder is not None:
            from visualdl import LogWriter  # slow to import, so only where it is asked for

            self._writer = LogWriter(folder)

    def add_training(self, figures):
        """Write a `Progress.summary`."""
        if self._history is not None:
            self._history.add_training(figures)
        values = {**figures["losses"], **{k: figures[k] for k in ("lr", "batch_cost", "reader_cost", "ips")}}
        self._add("Train", values, figures["iteration"])

    def add_evaluation(self, scores, iteration):
        """Write the `Scores` of an evaluation."""
        if self._history is not None:
            self._history.add_evaluation(scores, iteration)
        values = {"mIoU": scores.miou, "Acc": scores.acc, "Kappa": scores.kappa, "Dice": scores.mdice}
        values.update({f"IoU/class_{i}": iou for i, iou in enumerate(scores.class_iou)})
        self._add("Evaluate", values, iteration)

    def close(self):
        """Flush and close the log."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, group, values, iteration):
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", float(value), iteration)


def clock(seconds):
    """Return seconds as HH:MM:SS."""
    seconds = int(seconds)
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
