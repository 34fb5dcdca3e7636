"""`coef: auto` and `weight: auto`: weights by which losses have a share of the task's gradient."""

import math
from dataclasses import dataclass
from typing import Callable

import paddle

from paddleseg import parallel
from paddleseg.cvlibs.facts import AUTO
from paddleseg.errors import UserError
from paddleseg.losses.combine import loss_name
from paddleseg.utils.logger import logger

DIGITS = 4  # the weight that is logged is exactly the one that is used


@dataclass
class AutoWeight:
    """A weight that is measured.

    Args:
        key: its name in a checkpoint, such as "distill_loss.coef.0".
        place: where it is written, for messages.
        loss: the name of its loss, for messages.
        tensor: the tensor at which both gradients are measured, in words.
        share: the norm that the loss's gradient gets, in units of the norm of the task's.
        use: `use(weight)` gives the loss its weight.
    """

    key: str
    place: str
    loss: str
    tensor: str
    share: float
    use: Callable


class AutoWeights:
    """The weights of a `DistillNet` that are `auto`.

    With g_task and g the gradients of the task's loss and of a loss without its weight, at the last tensor of
    the student that both are computed from, and the sums over the measured batches of all ranks,

        weight = share * sum of |g_task| / sum of |g|

    rounded to four digits. That tensor is the head's logits for a loss between logits, and the tapped tensor
    for a loss between features. What comes before it in the student gets both gradients through it.

    Args:
        net: the `DistillNet`.
        place_of_logits: `place(*keys)` returns where a key of the section `distill_loss` is written.
    """

    def __init__(self, net, place_of_logits=None):
        self._weights = {weight.key: weight for weight in _automatic(net, place_of_logits)}
        self._sums = {key: [0.0, 0.0] for key in self._weights}
        self._reached = dict.fromkeys(self._weights, True)
        self._count = 0
        self.values = {}

    @property
    def keys(self):
        """The keys of all weights that are `auto`."""
        return set(self._weights)

    @property
    def missing(self):
        """Whether a weight is neither measured nor taken from a checkpoint."""
        return self.values.keys() != self._weights.keys()

    def take(self, values):
        """Use weights that were measured before, {key: weight}, if they are all there."""
        if self._weights and self._weights.keys() <= values.keys():
            self._use({key: values[key] for key in self._weights})
            for key, weight in self._weights.items():
                logger.info(f"{weight.place}: auto is {values[key]:g}, as measured before")

    def add(self, norms):
        """Add the norms of a batch, {key: (of the task's gradient, of the loss's)}; see `DistillNet`.

        The first norm is None if the task's loss does not depend on the tensor.
        """
        self._count += 1
        for key, (of_task, own) in norms.items():
            if of_task is None:
                self._reached[key] = False
            elif math.isfinite(of_task) and math.isfinite(own):
                self._sums[key][0] += of_task
                self._sums[key][1] += own

    def settle(self):
        """Compute, log and use the weights from the sums of all ranks.

        Raises:
            UserError: no batch was measured; or a gradient is always zero or not finite, so no weight can be
                found.
        """
        keys = list(self._weights)
        sums = paddle.to_tensor([[*self._sums[key], self._count] for key in keys], dtype="float64")
        values = {}
        for key, (of_task, own, count) in zip(keys, parallel.sum_over_ranks(sums).tolist()):
            if count == 0:
                raise UserError("a weight that is auto is measured on batches, and there are none")
            weight = self._weights[key]
            values[key] = self._value(weight, of_task / count, own / count, int(count))
        self._use(values)

    def _value(self, weight, of_task, own, count):
        """Return and log the value of an `AutoWeight`, from the mean norms of `count` batches."""
        where = f"in the first {count} batches" if count > 1 else "in the first batch"
        value = weight.share * of_task / own if own else math.inf
        if not self._reached[weight.key]:
            problem = f"the task's loss does not depend on {weight.tensor}"
        elif of_task == 0:
            problem = f"the task's loss has no finite gradient other than 0 at {weight.tensor} {where}"
        elif own == 0:
            problem = f"{weight.loss} has no finite gradient other than 0 at {weight.tensor} {where}"
        elif not 0 < value < math.inf:
            problem = f"the gradient of {weight.loss} is {own:.3g} and the task's {of_task:.3g} {where}"
        else:
            value = float(f"{value:.{DIGITS}g}")
            share = "" if weight.share == 1 else f", which is to be {weight.share:g} of it"
            logger.info(
                f"{weight.place}: auto is {value:g}: at {weight.tensor}, {where}, the gradient of the task's "
                f"loss has a norm of {of_task:.3g} and that of {weight.loss} {own:.3g}{share}"
            )
            return value
        raise UserError(f"{weight.place}: auto finds no weight: {problem}; write a number instead")

    def _use(self, values):
        self.values = values
        for key, value in values.items():
            self._weights[key].use(value)


def _automatic(net, place_of_logits):
    """Yield an `AutoWeight` for each `auto` of a `DistillNet`'s losses."""
    section = net.distill_loss or {"types": [], "coef": []}
    outputs = section.get("outputs") or range(len(section["types"]))
    for i, (loss, coef, output) in enumerate(zip(section["types"], section["coef"], outputs)):
        if coef == AUTO:
            yield AutoWeight(
                logits_key(i),
                place_of_logits("coef") if place_of_logits else f"distill_loss.coef.{i}",
                f"{loss_name(loss)} of output {output}",
                f"the student's logits {output}",
                section.get("share", 1),
                lambda value, i=i: section["coef"].__setitem__(i, value),
            )
    for loss in net.feature_losses:
        if loss.feature.weight == AUTO:
            yield AutoWeight(
                feature_key(loss),
                loss.feature.place("weight"),
                loss.name,
                f"the student's {loss.feature.student}",
                loss.feature.share,
                lambda value, loss=loss: setattr(loss, "weight", value),
            )


def logits_key(i):
    """Return the key of the weight of the loss between outputs number `i`."""
    return f"distill_loss.coef.{i}"


def feature_key(loss):
    """Return the key of the weight of a `FeatureLoss`."""
    return f"distill.features.{loss.name}"


def gradient_norms(task, losses, scaled):
    """Return {key: (norm of the task's gradient, norm of the loss's)}, each at the tensor of its loss.

    Args:
        task: the task's loss, a scalar tensor.
        losses: {key: (tensor of the student, loss without its weight)}.
        scaled: `scaled(loss)` multiplies a loss so that its gradients do not vanish in 16 bits.

    Returns:
        The norms of scaled gradients, as floats; of the task's None where the task does not depend on the
        tensor.
    """
    tensors = {id(tensor): tensor for tensor, _ in losses.values()}
    of_task = dict(zip(tensors, _gradients(scaled(task), list(tensors.values()))))
    norms = {}
    for key, (tensor, loss) in losses.items():
        own = _gradients(scaled(loss), [tensor])[0]
        task_norm = None if of_task[id(tensor)] is None else _norm(of_task[id(tensor)])
        norms[key] = task_norm, 0.0 if own is None else _norm(own)
    return norms


def _gradients(loss, tensors):
    """Return the gradient of a loss at each tensor, None for one that the loss does not depend on."""
    if loss.stop_gradient:
        return [None] * len(tensors)
    return paddle.grad(loss, tensors, retain_graph=True, allow_unused=True)


def _norm(gradient):
    return float(gradient.astype("float64").square().sum().sqrt())
