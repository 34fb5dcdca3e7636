import pytest
from refusal import refusal

from paddleseg.optimizers import PolynomialDecay


@pytest.mark.parametrize(
    ("rate", "end", "power", "steps"), [(0.01, 0, 0.9, 10), (1, 0.1, 1.0, 4), (0.5, 0.5, 2, 3), (0, 0, 1, 1)]
)
def test_the_rate_follows_the_formula_and_then_stays(rate, end, power, steps):
    schedule = PolynomialDecay(rate, end_lr=end, power=power, decay_steps=steps)
    for i in range(steps + 3):
        expected = (rate - end) * max(0, 1 - i / steps) ** power + end
        assert schedule() == pytest.approx(expected, abs=1e-12)
        schedule.step()


def test_defaults():
    schedule = PolynomialDecay(0.2, decay_steps=2)
    rates = []
    for _ in range(3):
        rates.append(schedule())
        schedule.step()
    assert rates == pytest.approx([0.2, 0.10005, 0.0001])


@pytest.mark.parametrize(
    ("said", "told"),
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
def test_what_is_out_of_range_is_refused(said, told, capsys):
    arguments = {"learning_rate": 0.1, "decay_steps": 5, **said}
    assert refusal(capsys, lambda: PolynomialDecay(**arguments)) == told
