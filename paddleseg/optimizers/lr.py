"""Learning rates over the iterations, as a config's `lr_scheduler` names them."""

import math
from typing import Optional

import paddle

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError


@manager.LR_SCHEDULERS.add_component
def PolynomialDecay(
    learning_rate: float,
    end_lr: float = 0.0001,
    power: float = 1.0,
    decay_steps: Optional[int] = None,
):
    """Return the schedule (learning_rate - end_lr) * (1 - i / decay_steps)^power + end_lr at iteration i.

    Args:
        learning_rate: at the first iteration.
        end_lr: from iteration `decay_steps` on.
        power: 1 is a straight line.
        decay_steps: iterations that the decay takes; a config's `iters` unless said otherwise.

    Raises:
        UserError: an argument is missing or out of its range.
    """
    if decay_steps is None:
        raise UserError("decay_steps is missing, and there is no `iters` to take it from")
    if not (0 <= learning_rate < math.inf and 0 <= end_lr < math.inf):
        raise UserError(f"learning_rate and end_lr must be 0 or above, not {learning_rate} and {end_lr}")
    if not (power > 0 and decay_steps > 0):
        raise UserError(f"power and decay_steps must be above 0, not {power} and {decay_steps}")
    return paddle.optimizer.lr.PolynomialDecay(
        learning_rate, decay_steps=decay_steps, end_lr=end_lr, power=power
    )
