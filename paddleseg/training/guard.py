"""Steps whose numbers are not finite: they are not applied, and they are reported."""

import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.parallel.statistics import memories, of_memories, untrained
from paddleseg.utils.logger import logger

# The items of the tensor that `Guard.step` returns.
APPLIED, LOSSES_FINITE, OWN_LOSS_FINITE, OVERFLOW = range(4)


class BadStepsError(UserError):
    """Too many steps in a row were not finite."""


class Guard:
    """Applies an optimizer's step if loss and gradients are finite, else leaves everything as it was.

    "Everything" means the weights, the optimizer's state and the tensors that no gradient changes, such as
    running statistics. A layer that keeps earlier outputs, such as a queue, undoes a step itself.

    On a GPU the host reads nothing: the optimizer makes each step, and the device then selects the old or the
    new values, which takes a copy of weights and optimizer state. On a CPU reading costs nothing, so a bad
    step is not made at all.

    Args:
        trained: the layer whose parameters and statistics change in a step.
        optimizer: Paddle's optimizer of the layer's parameters.
        on_device: whether the device selects the values; None for "on a GPU". Default None.
    """

    def __init__(self, trained, optimizer, on_device=None):
        self._trained = trained
        self._optimizer = optimizer
        self._on_device = not parallel.on_cpu() if on_device is None else on_device
        self._parameters = [p for p in trained.parameters() if not p.stop_gradient]
        self._memories = memories(trained)
        self._state = None
        self._stepped = set()
        self._statistics = []
        self._begun = False

    @paddle.no_grad()
    def begin(self):
        """Remember the statistics that the coming forward passes will change."""
        undone = of_memories(self._trained)
        changing = [tensor for tensor in untrained(self._trained).values() if id(tensor) not in undone]
        self._statistics = [(tensor, tensor.detach().clone()) for tensor in changing]
        for memory in self._memories:
            memory.begin_step()
        self._begun = True

    @paddle.no_grad()
    def undo(self):
        """Take back what the forward passes since `begin` have changed."""
        if not self._begun:
            return
        for tensor, old in self._statistics:
            paddle.assign(old, output=tensor)
        for memory in self._memories:
            memory.end_step(False)
        self._begun = False

    @paddle.no_grad()
    def step(self, loss, loss_scale=None):
        """Step the optimizer if the numbers are finite, and clear the gradients.

        Args:
            loss: scalar tensor that the gradients belong to.
            loss_scale: the `LossScale` that multiplies the gradients, but not `loss`; None for none.

        Returns:
            float32 tensor of four verdicts, each 1 or 0. `APPLIED`: loss and gradients are finite on all
            ranks, so the step was applied. `LOSSES_FINITE`: the losses of all ranks are finite.
            `OWN_LOSS_FINITE`: the loss of this rank is. `OVERFLOW`: the step was bad because the loss scale
            was too large; the scale is smaller now.
        """
        if loss_scale is not None:
            loss_scale.unscale(self._parameters)
        own = paddle.isfinite(loss.detach().astype("float32")).reshape([])
        gradients = [p.grad.astype("float32").sum() for p in self._parameters if p.grad is not None]
        # One number that is not finite makes the sum not finite. A sum that overflows counts as bad, too.
        finite = paddle.isfinite(paddle.stack(gradients).sum()) if gradients else own
        agreed = parallel.least_over_ranks(paddle.stack([own, finite]).astype("float32"))
        losses_finite, gradients_finite = agreed.astype("bool")
        ok = agreed.prod()
        # Paddle's optimizers create a parameter's state in its first step; the host must decide that step.
        new = [p for p in self._parameters if p.grad is not None and id(p) not in self._stepped]
        if self._on_device and self._state is not None and not new:
            good = ok.astype("bool")  # a tensor on the device
            self._select(good)
        else:
            good = bool(ok)
            self._apply(good)
            if good and self._on_device:
                self._state = self._parameters + _tensors(self._optimizer.state_dict())
            if good:
                self._stepped.update(id(p) for p in new)
        for memory in self._memories:
            memory.end_step(good)
        self._begun = False
        # Gradients that the optimizer does not use would add up otherwise. A gradient of zeros would count as
        # a gradient: a parameter whose loss has ended, or has not begun, would move by weight decay and
        # momentum.
        for parameter in self._parameters:
            parameter.clear_gradient(False)  # `set_to_zero`, which Paddle takes by position only
        overflow = paddle.zeros([])
        if loss_scale is not None:
            overflow = loss_scale.update(losses_finite, gradients_finite)
        return paddle.stack([ok, agreed[0], own.astype("float32"), overflow])

    def _apply(self, good):
        if good:
            self._optimizer.step()
            return
        for tensor, old in self._statistics:
            paddle.assign(old, output=tensor)

    def _select(self, good):
        before = [(tensor, tensor.detach().clone()) for tensor in self._state]
        self._optimizer.step()
        for tensor, old in before + self._statistics:
            paddle.assign(paddle.where(good, tensor, old), output=tensor)


def _tensors(state):
    """Return the tensors in nested dicts; an inner dict holds the weights of mixed precision."""
    inner = [tensor for value in state.values() if isinstance(value, dict) for tensor in _tensors(value)]
    return [value for value in state.values() if isinstance(value, paddle.Tensor)] + inner


class BadSteps:
    """Counts and reports the steps that were not applied; `check` alone reads the device.

    Args:
        limit: so many bad steps in a row end the training.
        files_of: `files_of(iteration) -> str`, the files of this rank's batch.
        in_a_row: bad steps just before the first one that is added. Default 0.
    """

    def __init__(self, limit, files_of, in_a_row=0):
        self.in_a_row = in_a_row
        self._limit = limit
        self._files_of = files_of
        self._pending = []

    def add(self, iteration, verdicts):
        """Take what `Guard.step` returned for an iteration."""
        self._pending.append((iteration, verdicts))

    def check(self, last_good):
        """Warn of the bad steps since the last check.

        Args:
            last_good: path of the last checkpoint, None if there is none yet.

        Raises:
            BadStepsError: there were `limit` of them in a row.
        """
        if not self._pending:
            return
        iterations = [iteration for iteration, _ in self._pending]
        verdicts = paddle.stack([verdicts for _, verdicts in self._pending]).numpy() > 0
        self._pending = []
        for iteration, (applied, losses_finite, own_loss_finite, overflow) in zip(iterations, verdicts):
            if overflow:  # this is how the scale is found; nothing is wrong with the training
                logger.info(
                    f"iter {iteration}: the scaled gradients overflow; not applied, half the scale now"
                )
                continue
            self.in_a_row = 0 if applied else self.in_a_row + 1
            # Only the rank with the bad loss warns of it. Gradients are the same on all ranks.
            bad_gradient = losses_finite and not applied
            if bad_gradient or not own_loss_finite:
                what = "gradient" if bad_gradient else "loss"
                logger.warning(
                    f"iter {iteration}: the {what} is not finite, so the step was not applied; its batch: "
                    f"{self._files_of(iteration)}"
                )
            if self.in_a_row >= self._limit:
                raise BadStepsError(
                    f"{self.in_a_row} steps in a row, the last one iter {iteration}, were not applied "
                    f"because their losses or gradients are not finite; {_advice(last_good)}"
                )


def _advice(last_good):
    where = f"the last good checkpoint is {last_good}" if last_good else "there is no checkpoint yet"
    return f"{where}; a lower learning_rate, gradient clipping or a look at the files above may help"


def batch_files(dataset, batches):
    """Return `files_of` for `BadSteps`.

    Args:
        dataset: a data set; without a `file_list` its samples are named by their indices.
        batches: `batches(iteration) -> keys`, each (view, index), of this rank's batch.
    """
    files = getattr(dataset, "file_list", None)

    def files_of(iteration):
        indices = [index for _, index in batches(iteration)]
        if files is None:
            return "samples " + ", ".join(map(str, indices))
        # An entry is a path, or [image, mask]; the image names the sample.
        return ", ".join(str(np.ravel(files[index])[0]) for index in indices)

    return files_of
