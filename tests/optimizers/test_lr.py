import copy
import json
import math
import pathlib

import paddle.optimizer.lr as paddle_lr
import pytest
from refusal import refusal

from paddleseg.errors import UserError
from paddleseg.optimizers import (
    CosineAnnealingDecay,
    ExponentialDecay,
    MultiStepDecay,
    PiecewiseDecay,
    PolynomialDecay,
    StepDecay,
    lr,
)

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "schedules.json"


def rates(schedule, number):
    """Return the rates of the first iterations."""
    seen = []
    for _ in range(number):
        seen.append(schedule())
        schedule.step()
    return seen


def cosine(i, rate=0.5, lowest=0.1, steps=5):
    return lowest + (rate - lowest) * (1 + math.cos(math.pi * i / steps)) / 2


def piecewise(i):
    return 0.5 if i < 2 else 0.05 if i < 6 else 0.1


def multi_step(i):
    return 0.5 * 0.4 ** ((i >= 3) + (i >= 7))


def polynomial_case(rate, end, power, steps):
    params = {"learning_rate": rate, "end_lr": end, "power": power, "decay_steps": steps}
    return PolynomialDecay, params, lambda i: (rate - end) * max(0, 1 - i / steps) ** power + end


FORMULAS = [
    polynomial_case(0.5, 0.1, 0.9, 6),
    polynomial_case(0.1, 0, 0.9, 10),
    polynomial_case(1, 0.1, 1.0, 4),
    (CosineAnnealingDecay, {"learning_rate": 0.5, "eta_min": 0.1, "T_max": 5}, cosine),
    (PiecewiseDecay, {"boundaries": [2, 6], "values": [0.5, 0.05, 0.1]}, piecewise),
    (StepDecay, {"learning_rate": 0.5, "step_size": 3, "gamma": 0.4}, lambda i: 0.5 * 0.4 ** (i // 3)),
    (StepDecay, {"learning_rate": 1, "step_size": 2}, lambda i: 0.1 ** (i // 2)),
    (MultiStepDecay, {"learning_rate": 0.5, "milestones": [3, 7], "gamma": 0.4}, multi_step),
    (ExponentialDecay, {"learning_rate": 0.5, "gamma": 0.9}, lambda i: 0.5 * 0.9**i),
]
every = pytest.mark.parametrize(("schedule", "params", "formula"), FORMULAS)


@pytest.mark.parametrize(("rate", "power", "steps"), [(0.5, 2, 3), (0, 1, 1)])
def test_a_decay_to_the_first_rate_is_constant(rate, power, steps):
    schedule = PolynomialDecay(rate, end_lr=rate, power=power, decay_steps=steps)
    assert rates(schedule, steps + 3) == pytest.approx([rate] * (steps + 3), abs=1e-12)


def test_polynomial_decay_ends_at_1e_4_by_default():
    assert rates(PolynomialDecay(0.2, decay_steps=2), 3) == pytest.approx([0.2, 0.10005, 0.0001])


@every
def test_each_follows_its_formula(schedule, params, formula):
    assert rates(schedule(**params), 13) == pytest.approx([formula(i) for i in range(13)], rel=1e-12)


@every
@pytest.mark.parametrize(("iters", "start"), [(4, 0.02), (1, 0.0), (3, 0)])
def test_a_warm_up_rises_to_the_first_rate_and_the_schedule_follows(schedule, params, formula, iters, start):
    seen = rates(schedule(**params, warmup_iters=iters, warmup_start_lr=start), 13)
    first = formula(0)
    expected = [start + (first - start) * i / iters for i in range(iters)]
    expected += [formula(i) for i in range(13 - iters)]
    assert seen == pytest.approx(expected, rel=1e-12)


@every
def test_without_warm_up_iterations_the_start_rate_does_not_matter(schedule, params, formula):
    assert schedule(**params, warmup_iters=0, warmup_start_lr=9)() == formula(0)


@every
@pytest.mark.parametrize("warm", [{}, {"warmup_iters": 4, "warmup_start_lr": 0.02}], ids=["cold", "warm"])
@pytest.mark.parametrize("after", [0, 2, 4, 5, 9])
@pytest.mark.filterwarnings("error")
def test_a_state_resumes_it_exactly(schedule, params, formula, warm, after):
    whole = rates(schedule(**params, **warm), 14)
    interrupted, resumed = (schedule(**params, **warm) for _ in range(2))
    rates(interrupted, after)
    state = json.loads(json.dumps(interrupted.state_dict()))
    resumed.set_state_dict(state)
    assert rates(resumed, 14 - after) == whole[after:]


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda case: str(case["section"]))
def test_equals_paddleseg(case):
    section = dict(case["section"])
    kind = section.pop("type")
    if kind == "PolynomialDecay":  # as the config fills it in
        section.setdefault("decay_steps", case["iters"] - section.get("warmup_iters", 0))
    seen = rates(getattr(lr, kind)(**section), len(case["rates"]))
    assert seen == pytest.approx(case["rates"], rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decay_steps": None}, "decay_steps is missing, and there is no `iters` to take it from"),
        ({"decay_steps": 0}, "power and decay_steps must be above 0, not 1.0 and 0"),
        ({"decay_steps": -3}, "power and decay_steps must be above 0, not 1.0 and -3"),
        ({"power": 0}, "power and decay_steps must be above 0, not 0 and 5"),
        ({"learning_rate": -1}, "learning_rate and end_lr must be 0 or above, not -1 and 0.0001"),
        ({"learning_rate": float("nan")}, "learning_rate and end_lr must be 0 or above, not nan and 0.0001"),
        ({"learning_rate": float("inf")}, "learning_rate and end_lr must be 0 or above, not inf and 0.0001"),
        ({"end_lr": -1}, "learning_rate and end_lr must be 0 or above, not 0.1 and -1"),
    ],
)
def test_an_argument_of_polynomial_decay_out_of_range_is_refused(changes, message, capsys):
    arguments = {"learning_rate": 0.1, "decay_steps": 5, **changes}
    assert refusal(capsys, lambda: PolynomialDecay(**arguments)) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CosineAnnealingDecay(0.1), "T_max is missing, and there is no `iters` to take it from"),
        (lambda: CosineAnnealingDecay(0.1, T_max=0), "T_max must be above 0, not 0"),
        (
            lambda: CosineAnnealingDecay(0.1, 5, eta_min=-1),
            "learning_rate and eta_min must be 0 or above, not 0",
        ),
        (lambda: StepDecay(0.1, 0), "step_size must be above 0, not 0"),
        (lambda: StepDecay(-0.1, 1), "learning_rate must be 0 or above, not -0.1"),
        (lambda: MultiStepDecay(0.1, []), "milestones must be rising iterations above 0, not "),
        (lambda: MultiStepDecay(0.1, [4, 4]), "milestones must be rising iterations above 0, not "),
        (lambda: StepDecay(0.1, 1, gamma=1), "gamma must be above 0 and below 1, not 1"),
        (lambda: ExponentialDecay(0.1, 0), "gamma must be above 0 and below 1, not 0"),
        (lambda: ExponentialDecay(float("nan"), 0.5), "learning_rate must be 0 or above, not nan"),
        (lambda: PiecewiseDecay([], [0.1]), "boundaries must hold at least one .* not 1 values for 0 bound"),
        (lambda: PiecewiseDecay([2], [0.1]), "values one rate more, not 1 values for 1 boundaries"),
        (lambda: PiecewiseDecay([2], [0.1, 0.2, 0.3]), "not 3 values for 1"),
        (lambda: PiecewiseDecay([2, 2], [3, 2, 1]), r"boundaries must be above 0 and rise, not \[2, 2\]"),
        (lambda: PiecewiseDecay([0], [2, 1]), r"boundaries must be above 0 and rise, not \[0\]"),
        (lambda: PiecewiseDecay([2], [0.1, -1]), r"values must be 0 or above, not \[0.1, -1\]"),
        (lambda: StepDecay(0.1, 2, warmup_iters=-1), "warmup_iters must be 0 or above, not -1"),
        (
            lambda: StepDecay(0.1, 2, warmup_iters=3, warmup_start_lr=0.1),
            r"warmup_start_lr must be 0 or above and below the first rate after the warm-up \(0.1\), not 0.1",
        ),
        (
            lambda: ExponentialDecay(0.1, 0.5, 3, -0.1),
            "warmup_start_lr must be 0 or above and below the first rate",
        ),
    ],
)
def test_an_argument_of_other_schedules_out_of_range_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize(
    ("kind", "then", "now"),
    [
        (CosineAnnealingDecay, {"learning_rate": 0.5, "T_max": 4}, {"learning_rate": 0.5, "T_max": 12}),
        (
            PolynomialDecay,
            {"learning_rate": 0.5, "decay_steps": 4},
            {"learning_rate": 0.5, "decay_steps": 12},
        ),
        (PolynomialDecay, {"learning_rate": 0.5, "decay_steps": 9}, {"learning_rate": 0.1, "decay_steps": 9}),
        (ExponentialDecay, {"learning_rate": 0.5, "gamma": 0.9}, {"learning_rate": 0.1, "gamma": 0.8}),
        (StepDecay, {"learning_rate": 0.5, "step_size": 2}, {"learning_rate": 0.2, "step_size": 3}),
        (
            PiecewiseDecay,
            {"boundaries": [2, 3], "values": [0.3, 0.2, 0.1]},
            {"boundaries": [5, 6], "values": [0.5, 0.4, 0.3]},
        ),
    ],
)
def test_a_schedule_that_has_changed_continues_as_if_it_had_been_so_from_the_beginning(
    kind, then, now, warmup
):
    old, new = kind(**then, warmup_iters=warmup), kind(**now, warmup_iters=warmup)
    rates(old, 5)
    before = copy.deepcopy(new)
    new.set_state_dict(old.state_dict())
    lr.rewind(new, before, 5)
    assert rates(new, 5) == rates(kind(**now, warmup_iters=warmup), 10)[5:]


def test_a_schedule_of_a_users_class_keeps_its_state():
    class Own(paddle_lr.LRScheduler):
        def get_lr(self):
            return 0.5

    schedule, before = Own(), Own()
    schedule.set_state_dict({"last_epoch": 3, "last_lr": 0.25})
    lr.rewind(schedule, before, 3)
    assert (schedule.last_epoch, schedule.last_lr) == (3, 0.25)
