"""One iteration: batches to changed weights."""

import contextlib

import paddle

from paddleseg import parallel
from paddleseg.errors import refusals_of_backward
from paddleseg.training.guard import APPLIED
from paddleseg.utils.phases import phase


class Update:
    """Averages the gradients of one or more batches and applies them, if they are finite.

    Args:
        step: a `Step`.
        optimizer: of everything that is trained. If its learning rate is a schedule, that advances each
            iteration.
        guard: a `Guard` of the same parameters.
        ema: an `Ema` of the model; None for none. Default None.
        seed: of random numbers inside the model. Default 0.
        autocast: `autocast()` is the context that the step computes in, as `precision.autocast` makes it.
        loss_scale: a `LossScale`; None for none. Default None.
    """

    def __init__(
        self,
        step,
        optimizer,
        guard,
        ema=None,
        seed=0,
        autocast=contextlib.nullcontext,
        loss_scale=None,
    ):
        self._step = step
        self._optimizer = optimizer
        self._guard = guard
        self._ema = ema
        self._seed = seed
        self._autocast = autocast
        self._loss_scale = loss_scale
        self._applying = False

    def __call__(self, batches, iteration):
        """Make iteration `iteration`, counted from 1, of a list of batches.

        Returns:
            ({name: scalar tensor} of the losses, averaged over the batches; the verdicts of `Guard.step`).
        """
        means = self._compute(batches, iteration)
        self._applying = True
        with phase("optimizer"):
            verdicts = self._guard.step(means["loss"], self._loss_scale)
            if self._ema is not None:
                self._ema.update(iteration, verdicts[APPLIED])
        if isinstance(self._optimizer._learning_rate, paddle.optimizer.lr.LRScheduler):
            self._optimizer._learning_rate.step()
        self._applying = False
        return means, verdicts

    def measure(self, batches, iteration):
        """Let the step measure the batches of an iteration as they will be computed, and change nothing."""
        parallel.seed_iteration(self._seed, iteration)
        self._guard.begin()
        for batch in batches:
            with self._autocast():
                self._step.measure({**batch, "iteration": iteration}, self._scaled)
        self._guard.undo()

    def try_out(self, batches, iteration):
        """Compute the losses and the gradients of an iteration, and change nothing."""
        if self._step.unmeasured:
            self.measure(batches, iteration)  # which computes every loss, too
            return
        self._compute(batches, iteration)
        self._guard.undo()
        self._step.trained.clear_gradients()

    def undo(self):
        """Take back the iteration that an error has ended.

        Returns:
            Whether all tensors are as before it; False if the error came while the weights changed.
        """
        if self._applying:
            return False
        self._guard.undo()
        return True

    def loss_scale_state(self):
        """Return the `state` of the loss scale, None without one; reads the device."""
        return None if self._loss_scale is None else self._loss_scale.state()

    def _compute(self, batches, iteration):
        """Compute the gradients of an iteration, and return its {name: loss}, averaged over the batches."""
        parallel.seed_iteration(self._seed, iteration)
        self._guard.begin()
        means = {}
        for i, batch in enumerate(batches):
            # The ranks average the gradients once, after the last batch.
            with contextlib.nullcontext() if i == len(batches) - 1 else self._without_averaging():
                with self._autocast():
                    losses = {
                        name: value / len(batches)
                        for name, value in self._step({**batch, "iteration": iteration}).items()
                    }
                with phase("backward"), refusals_of_backward():
                    self._scaled(losses["loss"]).backward()
            for name, value in losses.items():
                means[name] = means[name] + value.detach() if name in means else value.detach()
        return means

    def _scaled(self, loss):
        return loss if self._loss_scale is None else self._loss_scale.scaled(loss)

    def _without_averaging(self):
        no_sync = getattr(self._step.net, "no_sync", contextlib.nullcontext)  # only several ranks have it
        return no_sync()
