"""One iteration: batches to changed weights."""

import contextlib

from paddleseg import parallel
from paddleseg.utils.parts import part


class Update:
    """Averages the gradients of one or more batches and applies them, if they are finite.

    Args:
        step: `step(batch) -> {'loss': total, name: part, ...}` of scalar tensors, still attached; the batch
            also says the 'iteration', from 1.
        optimizer: of everything that is trained; its learning rate is a schedule, advanced each iteration.
        guard: a `Guard` of the same.
        ema: an `Ema`; None for none.
        seed: of what is drawn inside the model.
        autocast: `autocast()` is the context that the step computes in, such as `precision.autocast` makes.
        loss_scale: a `LossScale`; None for none.
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

    def __call__(self, batches, iteration):
        """Make iteration `iteration`, counted from 1, of a list of batches.

        Returns:
            The losses averaged over the batches, {name: scalar tensor}, and the flags of `Guard.step`.
        """
        parallel.seed_iteration(self._seed, iteration)
        self._guard.begin()
        means = {}
        for i, batch in enumerate(batches):
            said = {**batch, "iteration": iteration}
            # The ranks average the sum of the gradients, once.
            with contextlib.nullcontext() if i == len(batches) - 1 else self._without_averaging():
                with self._autocast():
                    losses = {name: value / len(batches) for name, value in self._step(said).items()}
                with part("backward"):
                    self._scaled(losses["loss"]).backward()
            for name, value in losses.items():
                means[name] = means[name] + value.detach() if name in means else value.detach()
        with part("optimizer"):
            flags = self._guard.step(means["loss"], self._loss_scale)
            if self._ema is not None:
                self._ema.update(iteration, flags[0])
        self._optimizer._learning_rate.step()
        return means, flags

    def loss_scale_state(self):
        """Return the `state` of the loss scale, None where there is none; reads the device."""
        return None if self._loss_scale is None else self._loss_scale.state()

    def _scaled(self, loss):
        return loss if self._loss_scale is None else self._loss_scale.scaled(loss)

    def _without_averaging(self):
        no_sync = getattr(getattr(self._step, "net", None), "no_sync", None)
        return contextlib.nullcontext() if no_sync is None else no_sync()
