"""Binary cross entropy: each channel is a classifier of its own."""

from typing import Literal, Optional, Union

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_label, check_not_negative
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.labels import label_edges, valid_and_one_hot


@full_precision
def bce_loss(logits, label, weight=None, pos_weight=None, ignore_index=255):
    """Return the mean over valid pixels and channels of the binary cross entropy of sigmoid(logits).

        loss = mean of v * (-a * y * log sigmoid(x) - (1 - y) * log(1 - sigmoid(x)))

    with x a logit and y its target, see `binary_targets`; a = 1 without `pos_weight`, v = 1 without
    `weight`. "dynamic" balances the batch: with the fraction f of targets that are 1, a `pos_weight` of
    "dynamic" is a = 2 (1 - f), and a `weight` of "dynamic" is v = 2 (1 - f) where y is 1, and 2 f where it
    is 0.

    PaddleSeg 2.8.0 counts ignored pixels in f as targets of 0; here they are left out.

    Args:
        logits: N x C x ..., floating.
        label: N x ..., int64, or N x C x ...; see `binary_targets`.
        ignore_index: the label of pixels that are left out. Default 255.
        weight, pos_weight: see `BCELoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), or a weight has another value.
    """
    _check_weights(weight, pos_weight)
    valid, y = binary_targets(logits, label, ignore_index)
    positive = mean_over((y * valid).sum(), valid.sum())
    a = 1.0 if pos_weight is None else pos_weight
    if pos_weight == "dynamic":
        a = 2 * (1 - positive)
    loss = -a * y * F.log_sigmoid(logits) - (1 - y) * F.log_sigmoid(-logits)
    if weight == "dynamic":
        loss = loss * 2 * (y * (1 - positive) + (1 - y) * positive)
    return mean_over((loss * valid).sum(), valid.sum())


def binary_targets(logits, label, ignore_index):
    """Return which logits are valid, and the target of each.

    Args:
        logits: N x C x ....
        label: N x ..., int64, of 0..C-1 or `ignore_index`: the target of channel c is 1 in pixels of class c.
            A single channel stands for class 1, with a label of 0 or 1. Or N x C x ..., numbers of 0 to 1,
            or `ignore_index`: the targets themselves, for classes that do not exclude each other.

    Returns:
        valid: of the shape and dtype of `logits`, 1 or 0.
        targets: of the same shape and dtype, 0 to 1.

    Raises:
        UserError: the shapes do not fit, or, on a CPU, a label of N x ... is outside the classes.
    """
    if label.shape == logits.shape:
        valid = label != ignore_index
        targets = paddle.where(valid, label, paddle.zeros_like(label))
        return valid.astype(logits.dtype), targets.astype(logits.dtype)
    check_label(logits, label)
    channels = logits.shape[1]
    valid, targets = valid_and_one_hot(label, max(channels, 2), ignore_index, logits.dtype)
    return valid.expand_as(logits), targets[:, -channels:]


def _check_weights(weight, pos_weight):
    if weight not in (None, "dynamic"):
        raise UserError(f"weight must be Null or 'dynamic', not {weight!r}")
    if isinstance(pos_weight, (int, float)):
        check_not_negative("pos_weight", pos_weight)
    elif pos_weight not in (None, "dynamic"):
        raise UserError(f"pos_weight must be Null, 'dynamic' or a number of 0 or above, not {pos_weight!r}")


@manager.LOSSES.add_component
class BCELoss(TaskLoss):
    """Binary cross entropy of each channel; see `bce_loss`.

    A config's model has a channel for each class and its masks are N x H x W; a single channel, or targets of
    N x C x H x W for classes that do not exclude each other, serve a training written in Python only.

    Args:
        weight: "dynamic" balances positive and negative targets of the batch; None for 1. Default None.
        pos_weight: the weight of positive targets, 0 or above, or "dynamic"; None for 1. Default None.
        edge_label: whether the targets are the edges between the classes (see `label_edges`), for a model
            that has one channel of edges among its outputs. Default False.

    Raises:
        UserError: a weight has another value.
    """

    function = staticmethod(bce_loss)

    def __init__(
        self,
        weight: Optional[Literal["dynamic"]] = None,
        pos_weight: Optional[Union[float, Literal["dynamic"]]] = None,
        ignore_index: int = 255,
        edge_label: bool = False,
    ):
        _check_weights(weight, pos_weight)
        super().__init__(weight=weight, pos_weight=pos_weight, ignore_index=ignore_index)
        self.edge_label = edge_label

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x H x W and label N x H x W (int64)."""
        if not self.edge_label:
            return super().forward(logits, label)
        # Every pixel is an edge or none, whatever class the task ignores.
        edges = label_edges(label, self.ignore_index)
        return bce_loss(logits, edges, self.weight, self.pos_weight, ignore_index=-1)
