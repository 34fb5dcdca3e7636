"""Steps whose numbers went wrong: not applied, then named."""

import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.parallel.statistics import memories, of_memories, untrained
from paddleseg.utils.logger import logger


class Guard:
    """Applies an optimizer's step if loss and gradients are finite, else leaves everything as it was.

    "Everything" is weights, optimizer state and what `untrained` lists, running statistics above all; of it
    the `memories` undo a step themselves. On a GPU nothing is read by the host: the step is made, and old or
    new values are selected on the device, which takes a copy of weights and optimizer state. On a CPU reading
    costs nothing, so a bad step is not made.

    Args:
        trained: the layer whose parameters and statistics change in a step.
        optimizer: Paddle's, of the layer's parameters.
        on_device: select on the device; by default where that is a GPU.
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

    @paddle.no_grad()
    def begin(self):
        """Remember the statistics that the forward passes to come will change."""
        undone = of_memories(self._trained)
        kept = [tensor for tensor in untrained(self._trained).values() if id(tensor) not in undone]
        self._statistics = [(tensor, tensor.detach().clone()) for tensor in kept]
        for memory in self._memories:
            memory.begin_step()

    @paddle.no_grad()
    def step(self, loss, loss_scale=None):
        """Step the optimizer, or do not, and clear the gradients.

        Args:
            loss: scalar tensor that the gradients are of.
            loss_scale: the `LossScale` that the gradients, not `loss`, are multiplied by; None for none.

        Returns:
            float32 tensor of four flags. 1 for good and 0 for bad: the step, on which all ranks agree; the
            losses of all ranks; this rank's own loss. And 1 where the step was bad since the loss scale was
            too large, which is then smaller.
        """
        if loss_scale is not None:
            loss_scale.unscale(self._parameters)
        own = paddle.isfinite(loss.detach().astype("float32")).reshape([])
        gradients = [p.grad.astype("float32").sum() for p in self._parameters if p.grad is not None]
        # What is not finite anywhere is not finite in the sum.
        finite = paddle.isfinite(paddle.stack(gradients).sum()) if gradients else own
        agreed = parallel.least_over_ranks(paddle.stack([own, finite]).astype("float32"))
        ok = agreed.prod()
        # Paddle's optimizers make a parameter's state in its first step, which the host therefore decides.
        first = [p for p in self._parameters if p.grad is not None and id(p) not in self._stepped]
        if self._on_device and self._state is not None and not first:
            good = ok.astype("bool")
            self._select(good)
        else:
            good = bool(ok)
            self._apply(good)
            if good and self._on_device:
                self._state = self._parameters + _tensors(self._optimizer.state_dict())
            if good:
                self._stepped.update(id(p) for p in first)
        for memory in self._memories:
            memory.end_step(good)
        self._trained.clear_gradients()  # gradients that the optimizer does not use must not add up either
        for parameter in first:
            if id(parameter) not in self._stepped:
                # A gradient of zeros would count as one: weight decay and the steps of Adam would begin.
                parameter.clear_gradient(False)
        overflow = paddle.zeros([])
        if loss_scale is not None:
            overflow = loss_scale.update(*agreed.astype("bool"))
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
    """Return the tensors in nested dicts; weights of mixed precision lie in an inner one."""
    inner = [tensor for value in state.values() if isinstance(value, dict) for tensor in _tensors(value)]
    return [value for value in state.values() if isinstance(value, paddle.Tensor)] + inner


class BadSteps:
    """Counts and names the steps that were not applied; reads the device only when asked to check.

    Args:
        most: so many in a row end the training.
        files_of: `files_of(iteration) -> str`, the files of this rank's batch.
        in_a_row: those just before the training goes on.
    """

    def __init__(self, most, files_of, in_a_row=0):
        self.in_a_row = in_a_row
        self._most = most
        self._files_of = files_of
        self._pending = []

    def add(self, iteration, flags):
        """Note what `Guard.step` returned for an iteration."""
        self._pending.append((iteration, flags))

    def check(self, last_good):
        """Warn of the bad steps since the last check.

        Args:
            last_good: path of the last checkpoint, None if there is none yet.

        Raises:
            UserError: there were `most` in a row.
        """
        if not self._pending:
            return
        iterations = [iteration for iteration, _ in self._pending]
        flags = paddle.stack([flags for _, flags in self._pending]).numpy() > 0
        self._pending = []
        for iteration, (ok, losses_ok, own_ok, overflow) in zip(iterations, flags):
            if overflow:  # which is how the scale is found, and no fault of the training's
                logger.info(
                    f"iter {iteration}: the scaled gradients overflow; not applied, half the scale now"
                )
                continue
            self.in_a_row = 0 if ok else self.in_a_row + 1
            # A loss is named by the rank whose batch it is of; gradients are the same on all ranks.
            if not own_ok or (losses_ok and not ok):
                what = "gradient" if own_ok else "loss"
                logger.warning(
                    f"iter {iteration}: the {what} is not finite, so the step was not applied; its batch: "
                    f"{self._files_of(iteration)}"
                )
            if self.in_a_row >= self._most:
                raise UserError(
                    f"{self.in_a_row} steps in a row, the last one iter {iteration}, were not applied since "
                    f"their losses or gradients are not finite; {_advice(last_good)}"
                )


def _advice(last_good):
    where = f"the last good checkpoint is {last_good}" if last_good else "there is no checkpoint yet"
    return f"{where}; a lower learning_rate, gradient clipping or a look at the files above may help"


def batch_files(dataset, batches):
    """Return `files_of` for `BadSteps`.

    Args:
        dataset: of files, if it has a `file_list`.
        batches: `batches(iteration) -> keys (view, index)` of this rank.
    """
    files = getattr(dataset, "file_list", None)

    def files_of(iteration):
        indices = [index for _, index in batches(iteration)]
        if files is None:
            return "samples " + ", ".join(map(str, indices))
        return ", ".join(str(np.ravel(files[index])[0]) for index in indices)

    return files_of
