"""Several losses of one output, as one."""

from typing import Sequence

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_not_negative


@manager.LOSSES.add_component
class MixedLoss(TaskLoss):
    """A weighted sum of losses between the same logits and label.

    In a config:

        loss:
          types:
            - type: MixedLoss
              losses: [{type: CrossEntropyLoss}, {type: LovaszSoftmaxLoss}]
              coef: [0.8, 0.2]
          coef: [1]

    PaddleSeg's returns the list of weighted losses; this one returns their sum.

    Args:
        losses: the losses, at least one; in a config, each with its `type`. They get the config's
            `ignore_index`, as any loss does.
        coef: a number of 0 or above for each.

    Raises:
        UserError: `losses` is empty or holds something else, or `coef` has another length.
    """

    def __init__(self, losses: Sequence, coef: Sequence[float]):
        super().__init__()
        self.check_arguments(losses, coef)
        if not all(callable(loss) for loss in losses):
            raise UserError(f"losses must hold losses only, not {losses!r}")
        # Not an nn.LayerList, since a user's own loss may be any callable.
        self.losses = list(losses)
        self.coef = list(coef)

    @staticmethod
    def check_arguments(losses, coef):
        """Raise `UserError` unless there is a loss, and a number for each; also for the config checker."""
        if not losses:
            raise UserError("losses must hold at least one loss")
        if len(coef) != len(losses):
            raise UserError(f"coef must hold a number for each of {len(losses)} losses, not {list(coef)}")
        for factor in coef:
            check_not_negative("each coef", factor)

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x ... and label N x ... (int64)."""
        return sum(factor * loss(logits, label) for factor, loss in zip(self.coef, self.losses))
