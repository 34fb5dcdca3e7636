"""The figures of a log line of a training."""

import math
import time

import paddle

from paddleseg.utils.progress_bar import clock


class Progress:
    """Sums up losses and times between two log lines; the host reads the device only when a line is due.

    Args:
        iters: last iteration of the run.
        iters_per_epoch: iterations per epoch of the training set.
        samples_per_iter: images per iteration, all ranks together.
        state: what `state()` returned, to continue from. Default None.
        take_cache_hit_rate: `take_cache_hit_rate()` returns the share of lookups since its last call that
            found their row in a teacher cache, None without lookups. Default None, for no cache.
    """

    def __init__(self, iters, iters_per_epoch, samples_per_iter, state=None, take_cache_hit_rate=None):
        self._iters = iters
        self._iters_per_epoch = iters_per_epoch
        self._samples_per_iter = samples_per_iter
        self._take_cache_hit_rate = take_cache_hit_rate
        self._reset()
        if state is not None:
            self._sums = {name: paddle.to_tensor(v, dtype="float32") for name, v in state["sums"].items()}
            self._good = paddle.to_tensor(state["good"], dtype="float32")

    def _reset(self):
        self._sums = {}
        self._good = paddle.zeros([])
        self._count = 0  # of iterations whose time is known
        self._batch_seconds = self._reader_seconds = 0.0

    def start_batch(self):
        """Start the clock of an iteration, which first waits for its batch."""
        self._started = time.perf_counter()

    def batch_read(self):
        """End the wait for the batch."""
        self._reader_seconds += time.perf_counter() - self._started

    def add(self, losses, ok=None):
        """Add the losses of an iteration, without reading them.

        Args:
            losses: {name: scalar tensor}.
            ok: float32 scalar tensor, 0 for a step that was not applied: its losses do not count. Default 1.
        """
        ok = paddle.ones([]) if ok is None else ok
        for name, value in losses.items():
            value = value.detach().astype("float32")
            # Not a product with `ok`: 0 times infinity is NaN.
            value = paddle.where(ok.astype("bool"), value, paddle.zeros_like(value))
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._good = self._good + ok
        self._count += 1
        self._batch_seconds += time.perf_counter() - self._started

    def state(self):
        """Return the sums so far, for JSON; reads the device."""
        return {"sums": {name: float(v) for name, v in self._sums.items()}, "good": float(self._good)}

    def summary(self, iteration, lr):
        """Return the means since the last summary, and reset the sums; reads the device.

        Returns:
            dict with `iteration`, `epoch`, `losses` (name to float, NaN if no step was applied), `lr`,
            `batch_cost` and `reader_cost` (seconds), `ips` (images per second, all ranks together),
            `eta` (seconds) and, if a teacher cache was used, `cache_hits` (0 to 1).
        """
        good = float(self._good)
        batch_cost = self._batch_seconds / self._count
        figures = {
            "iteration": iteration,
            "epoch": (iteration - 1) // self._iters_per_epoch + 1,
            "losses": {name: float(v) / good if good else math.nan for name, v in self._sums.items()},
            "lr": lr,
            "batch_cost": batch_cost,
            "reader_cost": self._reader_seconds / self._count,
            "ips": self._samples_per_iter / batch_cost,
            "eta": (self._iters - iteration) * batch_cost,
        }
        hit_rate = self._take_cache_hit_rate and self._take_cache_hit_rate()
        if hit_rate is not None:
            figures["cache_hits"] = hit_rate
        self._reset()
        return figures

    def line(self, figures):
        """Return a summary as a log line in PaddleSeg's form."""
        losses = ", ".join(f"{name}: {value:.4f}" for name, value in figures["losses"].items())
        hits = f", cache_hits: {figures['cache_hits']:.1%}" if "cache_hits" in figures else ""
        return (
            f"[TRAIN] epoch: {figures['epoch']}, iter: {figures['iteration']}/{self._iters}, {losses}, "
            f"lr: {figures['lr']:.6f}, batch_cost: {figures['batch_cost']:.4f}, "
            f"reader_cost: {figures['reader_cost']:.5f}, ips: {figures['ips']:.4f} samples/sec{hits} "
            f"| ETA {clock(figures['eta'])}"
        )
