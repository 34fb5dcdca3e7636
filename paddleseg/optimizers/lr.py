"""Learning-rate schedules, which a config's `lr_scheduler` names.

Each schedule is a function of the iteration i = 0, 1, ... and can begin with a linear warm-up. With
`warmup_iters` = W above 0 the rate at i < W is

    warmup_start_lr + (first - warmup_start_lr) * i / W

where `first` is the schedule's own first rate. From i = W on the rate is the schedule's at i - W. The default
of `decay_steps` and `T_max` is then the config's `iters` - W, as in PaddleSeg, so that the schedule still
ends with the training.
"""

import math
import warnings
from typing import Optional, Sequence

import paddle.optimizer.lr as paddle_lr

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError


@manager.LR_SCHEDULERS.add_component
def PolynomialDecay(
    learning_rate: float,
    end_lr: float = 0.0001,
    power: float = 1.0,
    decay_steps: Optional[int] = None,
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule (learning_rate - end_lr) * (1 - i / decay_steps)^power + end_lr at iteration i.

    Args:
        learning_rate: the rate at the first iteration.
        end_lr: the rate from iteration `decay_steps` on.
        power: 1 is a straight line.
        decay_steps: the number of iterations that the decay takes. Default: a config's `iters` less its
            `warmup_iters`.
        warmup_iters: iterations of linear warm-up. Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below `learning_rate`. Default 0.

    Raises:
        UserError: an argument is missing or out of its range.
    """
    _check_given(decay_steps=decay_steps)
    _check_rates(learning_rate=learning_rate, end_lr=end_lr)
    if not (power > 0 and decay_steps > 0):
        raise UserError(f"power and decay_steps must be above 0, not {power} and {decay_steps}")
    schedule = paddle_lr.PolynomialDecay(learning_rate, decay_steps, end_lr=end_lr, power=power)
    return _warmed_up(schedule, learning_rate, warmup_iters, warmup_start_lr)


@manager.LR_SCHEDULERS.add_component
def CosineAnnealingDecay(
    learning_rate: float,
    T_max: Optional[int] = None,  # noqa: N803  PaddleSeg's name
    eta_min: float = 0.0,
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule eta_min + (learning_rate - eta_min) * (1 + cos(pi * i / T_max)) / 2.

    Loshchilov and Hutter, "SGDR", ICLR 2017, https://arxiv.org/abs/1608.03983, without its restarts: after
    `T_max` the rate rises again along the cosine.

    Args:
        learning_rate: the rate at the first iteration.
        T_max: the iteration of the lowest rate. Default: a config's `iters` less its `warmup_iters`.
        eta_min: the lowest rate. Default 0.
        warmup_iters: iterations of linear warm-up. Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below `learning_rate`. Default 0.

    Raises:
        UserError: an argument is missing or out of its range.
    """
    _check_given(T_max=T_max)
    _check_rates(learning_rate=learning_rate, eta_min=eta_min)
    if T_max <= 0:
        raise UserError(f"T_max must be above 0, not {T_max}")
    schedule = paddle_lr.CosineAnnealingDecay(learning_rate, T_max, eta_min=eta_min)
    return _warmed_up(schedule, learning_rate, warmup_iters, warmup_start_lr)


@manager.LR_SCHEDULERS.add_component
def PiecewiseDecay(
    boundaries: Sequence[int],
    values: Sequence[float],
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule values[k] at iteration i, k being how many `boundaries` are i or less.

    Args:
        boundaries: the iterations at which the rate changes, rising.
        values: the rates, one more than boundaries.
        warmup_iters: iterations of linear warm-up to values[0], before the boundaries begin to count.
            Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below values[0]. Default 0.

    Raises:
        UserError: an argument is out of its range.
    """
    if not boundaries or len(values) != len(boundaries) + 1:
        raise UserError(
            f"boundaries must hold at least one iteration, and values one rate more, not {len(values)} "
            f"values for {len(boundaries)} boundaries"
        )
    if any(later <= earlier for earlier, later in zip([0, *boundaries], boundaries)):
        raise UserError(f"boundaries must be above 0 and rise, not {list(boundaries)}")
    if not all(0 <= value < math.inf for value in values):
        raise UserError(f"values must be 0 or above, not {list(values)}")
    schedule = paddle_lr.PiecewiseDecay(list(boundaries), [float(value) for value in values])
    return _warmed_up(schedule, values[0], warmup_iters, warmup_start_lr)


@manager.LR_SCHEDULERS.add_component
def StepDecay(
    learning_rate: float,
    step_size: int,
    gamma: float = 0.1,
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule learning_rate * gamma^floor(i / step_size).

    Args:
        learning_rate: the rate at the first iteration.
        step_size: iterations between the steps.
        gamma: the factor of each step, above 0 and below 1. Default 0.1.
        warmup_iters: iterations of linear warm-up. Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below `learning_rate`. Default 0.

    Raises:
        UserError: an argument is out of its range.
    """
    _check_rates(learning_rate=learning_rate)
    _check_gamma(gamma)
    if step_size <= 0:
        raise UserError(f"step_size must be above 0, not {step_size}")
    schedule = paddle_lr.StepDecay(learning_rate, step_size, gamma=gamma)
    return _warmed_up(schedule, learning_rate, warmup_iters, warmup_start_lr)


@manager.LR_SCHEDULERS.add_component
def MultiStepDecay(
    learning_rate: float,
    milestones: Sequence[int],
    gamma: float = 0.1,
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule learning_rate * gamma^k; k `milestones` are at the iteration or before it.

    Args:
        learning_rate: the rate at the first iteration.
        milestones: the iterations of the steps, rising.
        gamma: the factor of each step, above 0 and below 1. Default 0.1.
        warmup_iters: iterations of linear warm-up, before the milestones begin to count. Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below `learning_rate`. Default 0.

    Raises:
        UserError: an argument is out of its range.
    """
    _check_rates(learning_rate=learning_rate)
    _check_gamma(gamma)
    if not milestones or any(later <= earlier for earlier, later in zip([0, *milestones], milestones)):
        raise UserError(f"milestones must be rising iterations above 0, not {list(milestones)}")
    schedule = paddle_lr.MultiStepDecay(learning_rate, list(milestones), gamma=gamma)
    return _warmed_up(schedule, learning_rate, warmup_iters, warmup_start_lr)


@manager.LR_SCHEDULERS.add_component
def ExponentialDecay(
    learning_rate: float,
    gamma: float,
    warmup_iters: int = 0,
    warmup_start_lr: float = 0.0,
):
    """Return the schedule learning_rate * gamma^i.

    Args:
        learning_rate: the rate at the first iteration.
        gamma: the factor from one iteration to the next, above 0 and below 1.
        warmup_iters: iterations of linear warm-up. Default 0: none.
        warmup_start_lr: the rate that the warm-up begins with, below `learning_rate`. Default 0.

    Raises:
        UserError: an argument is out of its range.
    """
    _check_rates(learning_rate=learning_rate)
    _check_gamma(gamma)
    schedule = paddle_lr.ExponentialDecay(learning_rate, gamma)
    return _warmed_up(schedule, learning_rate, warmup_iters, warmup_start_lr)


def _warmed_up(schedule, first, warmup_iters, warmup_start_lr):
    """Return `schedule` after a linear warm-up to its first rate; alone if `warmup_iters` is 0."""
    if warmup_iters < 0:
        raise UserError(f"warmup_iters must be 0 or above, not {warmup_iters}")
    if not warmup_iters:
        return schedule
    if not 0 <= warmup_start_lr < first:
        raise UserError(
            f"warmup_start_lr must be 0 or above and below the first rate after the warm-up ({first}), not "
            f"{warmup_start_lr}"
        )
    return _LinearWarmup(schedule, warmup_iters, start_lr=warmup_start_lr, end_lr=first)


class _LinearWarmup(paddle_lr.LinearWarmup):
    """Paddle's warm-up; its state includes that of the schedule after it, so that one state resumes both."""

    def set_state_dict(self, state_dict):
        """Continue from a state, without Paddle's warning that the state of the schedule is left unused."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            super().set_state_dict(state_dict)


def _check_given(**steps):
    for name, value in steps.items():
        if value is None:
            raise UserError(f"{name} is missing, and there is no `iters` to take it from")


def _check_rates(**rates):
    if not all(0 <= rate < math.inf for rate in rates.values()):
        names, values = " and ".join(rates), " and ".join(map(str, rates.values()))
        raise UserError(f"{names} must be 0 or above, not {values}")


def _check_gamma(gamma):
    if not 0 < gamma < 1:
        raise UserError(f"gamma must be above 0 and below 1, not {gamma}")


def rewind(schedule, copy, iterations):
    """Set a schedule to the rate that it has after some iterations from its beginning.

    A checkpoint holds a schedule's last rate, and some schedules compute the next rate from it. That is wrong
    after a change of `iters` or of the first rate. An unchanged schedule comes to the same bits.

    Args:
        schedule: a `paddle.optimizer.lr.LRScheduler`. A user's own schedule, one that depends on more than
            the iteration, or a constant rate, is left as it is.
        copy: a copy of the schedule from before its state was loaded.
        iterations: the number of steps from the beginning.

    Raises:
        UserError: the copy has made more steps than that.
    """
    own = type(schedule).__module__ in (__name__, paddle_lr.__name__)
    if not own or isinstance(schedule, paddle_lr.ReduceOnPlateau):
        return
    if copy.last_epoch > iterations:
        raise UserError(
            f"the optimizer's schedule has made {copy.last_epoch} steps already, and the checkpoint "
            f"{iterations}; give a new optimizer"
        )
    for _ in range(copy.last_epoch, iterations):
        copy.step()
    schedule.set_state_dict(copy.state_dict())
